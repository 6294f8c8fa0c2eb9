#include "tessera/tensor/weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>

#include "tessera/base/error.h"
#include "tessera/tensor/model_file.h"
#include "tessera/tensor/quantised.h"
#include "tessera/tensor/safetensors.h"
#include "tessera/tensor/shapes.h"
#include "tessera/tensor/torch_file.h"

namespace tessera::tensor {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<Dtype, at::ScalarType>, 16> scalar_types = {{{Dtype::boolean, at::kBool},
                                                                            {Dtype::u8, at::kByte},
                                                                            {Dtype::i8, at::kChar},
                                                                            {Dtype::f8_e5m2, at::kFloat8_e5m2},
                                                                            {Dtype::f8_e4m3, at::kFloat8_e4m3fn},
                                                                            {Dtype::i16, at::kShort},
                                                                            {Dtype::u16, at::kUInt16},
                                                                            {Dtype::f16, at::kHalf},
                                                                            {Dtype::bf16, at::kBFloat16},
                                                                            {Dtype::i32, at::kInt},
                                                                            {Dtype::u32, at::kUInt32},
                                                                            {Dtype::f32, at::kFloat},
                                                                            {Dtype::c64, at::kComplexFloat},
                                                                            {Dtype::f64, at::kDouble},
                                                                            {Dtype::i64, at::kLong},
                                                                            {Dtype::u64, at::kUInt64}}};

}  // namespace

// A kind of file behind Weights.
class Weights::Source {
 public:
  virtual ~Source() = default;
  // The tensor's encoded bytes, when they lie in the file as they are; else nothing, and read() copies them.
  virtual std::optional<std::span<const std::byte>> mapped(size_t tensor) const = 0;
  virtual void read(size_t, std::byte*) const {}
  virtual const Bytes& file(size_t) const {  // what mapped() is a part of
    static const Bytes none;
    return none;
  }
  virtual const GgufFile* gguf() const { return nullptr; }
  virtual const std::map<std::string, std::string>& metadata() const {
    static const std::map<std::string, std::string> none;
    return none;
  }

  fs::path path;
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string, size_t> index;

 protected:
  void list(const TensorInfo& tensor) {
    index.emplace(tensor.name, tensors.size());
    tensors.push_back(tensor);
  }
};

class Weights::Safetensors final : public Weights::Source {
 public:
  explicit Safetensors(SafetensorsFile file) {
    shards_.files.push_back(std::move(file));
    for (const TensorInfo& tensor : shards_.files[0].tensors()) shards_.tensors.emplace_back(0, &tensor);
    list_all();
  }
  explicit Safetensors(SafetensorsShards shards) : shards_(std::move(shards)) { list_all(); }
  std::optional<std::span<const std::byte>> mapped(size_t i) const override {
    const auto& [file, tensor] = shards_.tensors[i];
    return shards_.files[file].data(*tensor);
  }
  const Bytes& file(size_t i) const override { return shards_.files[shards_.tensors[i].first].bytes(); }
  const std::map<std::string, std::string>& metadata() const override {
    return shards_.files.empty() ? Source::metadata() : shards_.files[0].metadata();
  }

 private:
  void list_all() {
    for (const auto& [file, tensor] : shards_.tensors) list(*tensor);
  }
  SafetensorsShards shards_;
};

class Weights::Gguf final : public Weights::Source {
 public:
  explicit Gguf(GgufFile file) : file_(std::move(file)) {
    for (const TensorInfo& tensor : file_.tensors()) list(tensor);
  }
  std::optional<std::span<const std::byte>> mapped(size_t i) const override { return file_.data(file_.tensors()[i]); }
  const Bytes& file(size_t) const override { return file_.bytes(); }
  const GgufFile* gguf() const override { return &file_; }

 private:
  GgufFile file_;
};

class Weights::Torch final : public Weights::Source {
 public:
  explicit Torch(TorchFile file) : file_(std::move(file)) {
    const std::string prefix = state_dict_prefix();
    for (const TorchTensor& tensor : file_.tensors()) {
      if (!prefix.empty() && !(tensor.group + ".").starts_with(prefix)) continue;
      TensorInfo info = tensor.info;
      info.name.erase(0, prefix.size());
      list(info);
      files_.push_back(&tensor);
    }
  }
  std::optional<std::span<const std::byte>> mapped(size_t) const override { return std::nullopt; }
  void read(size_t i, std::byte* to) const override { file_.read(*files_[i], to); }

 private:
  // "state_dict." when the tensors of a checkpoint lie below such a key, else "".
  std::string state_dict_prefix() const {
    for (const std::string_view key : {"state_dict", "model_state_dict", "model"}) {
      const bool is_group = std::ranges::any_of(
          file_.tensors(), [&](const TorchTensor& t) { return t.group == key || t.group.starts_with(std::string(key) + "."); });
      if (is_group) return std::string(key) + ".";
    }
    return "";
  }
  TorchFile file_;
  std::vector<const TorchTensor*> files_;
};

Weights Weights::open(const fs::path& path) {
  const fs::path file = model_file_of(path);
  const std::string name = file.filename().string(), extension = file.extension().string();
  std::shared_ptr<Source> source;
  if (name.ends_with(".index.json")) {
    source = std::make_shared<Safetensors>(open_safetensors_shards(file));
  } else if (extension == ".safetensors") {
    source = std::make_shared<Safetensors>(SafetensorsFile::open(file));
  } else if (extension == ".gguf") {
    source = std::make_shared<Gguf>(GgufFile::open(file));
  } else if (extension == ".pt" || extension == ".pth" || extension == ".bin" || extension == ".ckpt") {
    source = std::make_shared<Torch>(TorchFile::open(file));
  } else {
    throw InputError("{} is no model file; give a folder, a .safetensors, a .gguf or a .pt", file.string());
  }
  source->path = path;
  return Weights(source);
}

const std::vector<TensorInfo>& Weights::tensors() const { return source_->tensors; }
bool Weights::has(std::string_view name) const { return source_->index.contains(std::string(name)); }
const GgufFile* Weights::gguf() const { return source_->gguf(); }
const std::map<std::string, std::string>& Weights::metadata() const { return source_->metadata(); }
const fs::path& Weights::path() const { return source_->path; }

// A tensor that lies over a file's bytes; data at an odd address are copied.
static torch::Tensor over_bytes(std::span<const std::byte> bytes, at::IntArrayRef shape, at::ScalarType type,
                                std::shared_ptr<const void> owner) {
  auto* data = const_cast<std::byte*>(bytes.data());  // the map is copy-on-write
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(type) == 0)
    return torch::from_blob(
        data, shape, [owner = std::move(owner)](void*) {}, type);
  torch::Tensor copy = torch::empty(shape, type);
  std::memcpy(copy.data_ptr(), data, bytes.size());
  return copy;
}

// Encoded elements into a flat tensor of as many, on the CPU.
static void decode_into(Dtype type, std::span<const std::byte> bytes, const torch::Tensor& to) {
  if (traits(type).quantised()) {
    decode(type, bytes.data(), to);
  } else if (to.scalar_type() == scalar_type(type)) {
    std::memcpy(to.mutable_data_ptr(), bytes.data(), bytes.size());
  } else {
    to.copy_(over_bytes(bytes, {to.numel()}, scalar_type(type), nullptr));
  }
}

size_t Weights::index_of(std::string_view name) const {
  const auto found = source_->index.find(std::string(name));
  if (found == source_->index.end()) {
    throw InputError("{} has no tensor {}; it holds {} others, the first is {}", path().string(), tessera::quoted(name), tensors().size(),
                     tensors().empty() ? "none" : tessera::quoted(tensors().front().name));
  }
  return found->second;
}

const TensorInfo& Weights::info(std::string_view name) const { return tensors()[index_of(name)]; }

torch::Tensor Weights::load(std::string_view name) const { return load(name, scalar_type(info(name).dtype)); }

torch::Tensor Weights::load(std::string_view name, at::ScalarType dtype) const {
  const size_t i = index_of(name);
  const TensorInfo& info = tensors()[i];
  const auto bytes = source_->mapped(i);
  if (traits(info.dtype).quantised()) {
    auto decoded = unfilled(info.shape, dtype);
    load_into(name, decoded);
    return decoded;
  }
  const at::ScalarType own = scalar_type(info.dtype);
  if (!bytes || info.bytes == 0) {
    torch::Tensor read = torch::empty(info.shape, own);
    source_->read(i, static_cast<std::byte*>(read.data_ptr()));
    return read.to(dtype);
  }
  return over_bytes(*bytes, info.shape, own, source_->file(i).owner).to(dtype);
}

void Weights::load_into(std::string_view name, const torch::Tensor& to) const {
  const size_t i = index_of(name);
  const TensorInfo& info = tensors()[i];
  if (to.sizes() != info.shape || !to.is_contiguous() || !to.device().is_cpu()) {
    throw InputError("{} is loaded into a tensor {}; expected a dense one {} on the CPU", tessera::quoted(name), shape_text(to.sizes()),
                     shape_text(info.shape));
  }
  const auto bytes = source_->mapped(i);
  if (!bytes || info.bytes == 0) {
    to.copy_(load(name));
    return;
  }
  const DtypeTraits& type = traits(info.dtype);
  const auto flat = to.view({-1});
  constexpr int64_t piece = int64_t{1} << 23;  // elements, whole blocks of every type: what of the file is in memory beside the tensor
  for (int64_t begin = 0; begin < to.numel(); begin += piece) {
    const auto place = flat.narrow(0, begin, std::min(piece, to.numel() - begin));
    const auto part = bytes->subspan(begin / type.block * type.block_bytes, place.numel() / type.block * type.block_bytes);
    decode_into(info.dtype, part, place);
    source_->file(i).give_back(part);
  }
}

torch::Tensor Weights::rows(std::string_view name, const torch::Tensor& numbers, at::ScalarType dtype) const {
  const size_t i = index_of(name);
  const TensorInfo& info = tensors()[i];
  const DtypeTraits& type = traits(info.dtype);
  if (info.shape.size() != 2 || info.shape[1] % type.block != 0)
    throw InputError("{} is {} of {}; expected a matrix of whole rows", tessera::quoted(name), shape_text(info.shape), type.name);
  const auto wanted = numbers.to(torch::kCPU, torch::kInt64).contiguous();
  const std::span<const int64_t> row_numbers(wanted.const_data_ptr<int64_t>(), static_cast<size_t>(wanted.numel()));
  for (const int64_t row : row_numbers) {
    if (row < 0 || row >= info.shape[0]) throw InputError("{} has no row {}; it has {}", tessera::quoted(name), row, info.shape[0]);
  }
  const auto bytes = source_->mapped(i);
  if (!bytes || info.bytes == 0) return load(name, dtype).index_select(0, wanted);
  const auto found = torch::empty({wanted.numel(), info.shape[1]}, dtype);
  const size_t row_bytes = info.shape[1] / type.block * type.block_bytes;
  constexpr size_t often = 4;  // rows: with each of them the system may bring in a huge page
  for (size_t n = 0; n < row_numbers.size(); ++n) {
    decode_into(info.dtype, bytes->subspan(row_numbers[n] * row_bytes, row_bytes), found[static_cast<int64_t>(n)]);
    if (n % often == often - 1 || n + 1 == row_numbers.size()) source_->file(i).give_back(*bytes);
  }
  return found;
}

at::ScalarType scalar_type(Dtype dtype) {
  if (traits(dtype).quantised()) return at::kFloat;
  const auto* found = std::ranges::find(scalar_types, dtype, &std::pair<Dtype, at::ScalarType>::first);
  return found->second;
}

Dtype dtype_of(at::ScalarType type) {
  const auto* found = std::ranges::find(scalar_types, type, &std::pair<Dtype, at::ScalarType>::second);
  if (found == scalar_types.end()) throw InputError("tensors of type {} cannot be stored; convert them to float32", c10::toString(type));
  return found->first;
}

void save_safetensors(const fs::path& path, const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                      uint64_t max_shard_bytes) {
  std::vector<TensorSource> sources;
  auto held = std::make_shared<torch::Tensor>();  // the one being written
  for (const auto& [name, tensor] : tensors) {
    TensorInfo info;
    info.name = name;
    info.dtype = dtype_of(tensor.scalar_type());
    info.shape = tensor.sizes().vec();
    info.bytes = bytes_of(name, info.dtype, info.shape);
    sources.push_back({info, [tensor = tensor, held, bytes = info.bytes] {
                         *held = tensor.detach().cpu().contiguous();
                         return std::span(static_cast<const std::byte*>(held->const_data_ptr()), bytes);
                       }});
  }
  if (path.extension() == ".safetensors") return write_safetensors(path, std::move(sources), metadata);
  fs::create_directories(path);
  write_safetensors_folder(path, std::move(sources), metadata, max_shard_bytes);
}

}  // namespace tessera::tensor
