#include "tessera/tensor/torch_file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/tensor/pickle.h"
#include "tessera/tensor/torch_storages.h"

namespace tessera::tensor {
namespace {

using Kind = PickleNode::Kind;

constexpr int max_depth = 32;                   // of nested containers
constexpr size_t max_visits = size_t{1} << 20;  // of values, counting shared ones each time
constexpr size_t max_tensors = size_t{1} << 18;
constexpr size_t longest_path = 512;                 // of a tensor's name
constexpr int64_t free_elements = int64_t{1} << 24;  // an expanded tensor may have so many more than its storage
constexpr std::string_view legacy_magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

struct TorchName {
  std::string_view name;
  Dtype dtype;
};
constexpr std::array<TorchName, 11> storage_classes = {{{"BoolStorage", Dtype::boolean},
                                                        {"ByteStorage", Dtype::u8},
                                                        {"CharStorage", Dtype::i8},
                                                        {"ShortStorage", Dtype::i16},
                                                        {"HalfStorage", Dtype::f16},
                                                        {"BFloat16Storage", Dtype::bf16},
                                                        {"IntStorage", Dtype::i32},
                                                        {"FloatStorage", Dtype::f32},
                                                        {"DoubleStorage", Dtype::f64},
                                                        {"LongStorage", Dtype::i64},
                                                        {"ComplexFloatStorage", Dtype::c64}}};
constexpr std::array<TorchName, 16> dtype_names = {{{"bool", Dtype::boolean},
                                                    {"uint8", Dtype::u8},
                                                    {"int8", Dtype::i8},
                                                    {"int16", Dtype::i16},
                                                    {"uint16", Dtype::u16},
                                                    {"float16", Dtype::f16},
                                                    {"bfloat16", Dtype::bf16},
                                                    {"int32", Dtype::i32},
                                                    {"uint32", Dtype::u32},
                                                    {"float32", Dtype::f32},
                                                    {"float64", Dtype::f64},
                                                    {"complex64", Dtype::c64},
                                                    {"int64", Dtype::i64},
                                                    {"uint64", Dtype::u64},
                                                    {"float8_e5m2", Dtype::f8_e5m2},
                                                    {"float8_e4m3fn", Dtype::f8_e4m3}}};

// Elements from the first to past the last one that sizes and strides reach; InputError when that cannot be counted.
int64_t reach(const TensorInfo& info, const std::vector<int64_t>& strides) {
  int64_t last = 0;
  for (size_t i = 0; i < strides.size(); ++i) {
    if (info.shape[i] == 0) return 0;
    int64_t span = 0;
    if (strides[i] < 0 || __builtin_mul_overflow(info.shape[i] - 1, strides[i], &span) || __builtin_add_overflow(last, span, &last)) {
      throw InputError("tensor {} has impossible strides; the file is damaged", tessera::quoted(info.name));
    }
  }
  return last + 1;
}

// Walks the containers of a pickle and collects the tensors in them.
class TensorCollector {
 public:
  TensorCollector(const Pickle& pickle, const TorchStorages& storages, const std::string& file)
      : pickle_(pickle), storages_(storages), file_(file) {}

  std::vector<TorchTensor> collect() {
    visit(pickle_.root, "", "", 0);
    if (tensors_.empty()) throw InputError("{} holds no tensors; save a model's state_dict()", file_);
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void damaged(std::string_view what) const {
    throw InputError("{}: {}; the file is damaged or of an unknown kind", file_, what);
  }
  const PickleNode& at(PickleRef ref, Kind kind, std::string_view what) const {
    const PickleNode& node = pickle_.at(ref);
    if (node.kind != kind) damaged(what);
    return node;
  }

  void visit(PickleRef ref, const std::string& group, const std::string& key, int depth) {
    if (++visits_ > max_visits || depth > max_depth) damaged("its containers are nested too deep");
    const PickleNode& node = pickle_.at(ref);
    const std::string path = group.empty() ? key : group + "." + key;
    if (node.kind == Kind::call) return visit_call(ref, group, path, depth);
    if (node.kind != Kind::dict && node.kind != Kind::list && node.kind != Kind::tuple) return;
    if (path.size() > longest_path) damaged("a tensor's name is longer than 512 bytes");
    const bool keyed = node.kind == Kind::dict;
    for (size_t i = 0; i < node.items.size(); i += keyed ? 2 : 1) {
      visit(node.items[i + (keyed ? 1 : 0)], path, keyed ? key_text(node.items[i], i / 2) : std::to_string(i), depth + 1);
    }
  }

  std::string key_text(PickleRef ref, size_t position) const {
    const PickleNode& key = pickle_.at(ref);
    if (key.kind == Kind::integer) return std::to_string(key.integer);
    if (key.kind != Kind::text) return fmt::format("#{}", position);
    if (key.text.size() > longest_path) damaged("a tensor's name is longer than 512 bytes");
    return std::string(key.text);
  }

  void visit_call(PickleRef ref, const std::string& group, const std::string& path, int depth) {
    const PickleNode& call = pickle_.at(ref);
    const std::string_view function = pickle_.at(call.items[0]).name;
    const std::vector<PickleRef>& arguments = pickle_.at(call.items[1]).items;
    if (function.starts_with("_rebuild_parameter")) {
      if (arguments.empty() || depth >= max_depth) damaged("a parameter without a tensor");
      const PickleNode& inner = at(arguments[0], Kind::call, "a parameter without a tensor");
      if (!pickle_.at(inner.items[0]).name.starts_with("_rebuild_tensor")) damaged("a parameter without a tensor");
      return visit_call(arguments[0], group, path, depth + 1);
    }
    if (function.starts_with("_rebuild_tensor")) add_tensor(function, arguments, group, path);
  }

  void add_tensor(std::string_view function, const std::vector<PickleRef>& arguments, const std::string& group, const std::string& path) {
    const bool typed = function == "_rebuild_tensor_v3";  // the type is an argument, the storage is bytes
    if (arguments.size() < (typed ? 7U : 4U)) damaged("a tensor without shape or strides");
    TorchTensor tensor;
    tensor.info.name = path.empty() ? "tensor" : path;
    tensor.group = group;
    if (tensor.info.name.size() > longest_path) damaged("a tensor's name is longer than 512 bytes");
    tensor.info.shape = integers(arguments[2]);
    tensor.strides = integers(arguments[3]);
    if (tensor.strides.size() != tensor.info.shape.size()) damaged("a tensor with unequal numbers of sizes and strides");
    const int64_t offset = at(arguments[1], Kind::integer, "a tensor without offset").integer;
    if (offset < 0) damaged("a tensor with a negative offset");
    tensor.offset = static_cast<uint64_t>(offset);
    std::optional<Dtype> dtype;
    if (typed) dtype = torch_type(dtype_names, pickle_.at(arguments[6]));
    place(tensor, at(arguments[0], Kind::persistent, "a tensor without storage"), dtype);
    if (!names_.insert(tensor.info.name).second) damaged(fmt::format("tensor {} is there twice", tessera::quoted(tensor.info.name)));
    tensors_.push_back(std::move(tensor));
    if (tensors_.size() > max_tensors) damaged("more than 262,144 tensors");
  }

  // Finds the storage ("storage", class, key, device, elements[, view]) and checks that the tensor lies in it.
  void place(TorchTensor& tensor, const PickleNode& persistent, std::optional<Dtype> dtype) {
    const PickleNode& id = at(persistent.items[0], Kind::tuple, "a storage without description");
    if (id.items.size() < 5 || at(id.items[0], Kind::text, "an unknown external object").text != "storage")
      damaged("an unknown external object");
    if (id.items.size() > 5 && pickle_.at(id.items[5]).kind != Kind::none) damaged("a view of a storage");
    const PickleNode& storage_class = pickle_.at(id.items[1]);
    const int64_t stored = at(id.items[4], Kind::integer, "a storage without size").integer;
    const bool untyped = storage_class.name == "UntypedStorage";
    tensor.info.dtype = dtype ? *dtype : torch_type(storage_classes, storage_class);
    tensor.info.bytes = bytes_of(tensor.info.name, tensor.info.dtype, tensor.info.shape);
    const int64_t size = traits(tensor.info.dtype).block_bytes;
    const int64_t storage_size = untyped ? 1 : size;
    int64_t bytes = 0, end = 0;
    if (stored < 0 || __builtin_mul_overflow(stored, storage_size, &bytes)) damaged("a storage with an impossible size");
    if (__builtin_add_overflow(reach(tensor.info, tensor.strides), static_cast<int64_t>(tensor.offset), &end) || end > bytes / size) {
      throw InputError("{}: tensor {} reaches beyond its storage of {} elements; copy it again", file_, tessera::quoted(tensor.info.name),
                       bytes / size);
    }
    if (tensor.info.elements() > std::max(bytes / size, free_elements)) {
      throw InputError("{}: tensor {} repeats its storage to {} elements; save it as tensor.clone()", file_,
                       tessera::quoted(tensor.info.name), tensor.info.elements());
    }
    const std::string_view key = at(id.items[2], Kind::text, "a storage without key").text;
    tensor.storage = storages_.find(key, static_cast<uint64_t>(bytes));
  }

  std::vector<int64_t> integers(PickleRef ref) const {
    const PickleNode* node = &pickle_.at(ref);
    if (node->kind == Kind::call && pickle_.at(node->items[0]).name == "Size" && !pickle_.at(node->items[1]).items.empty()) {
      node = &pickle_.at(pickle_.at(node->items[1]).items[0]);
    }
    if (node->kind != Kind::tuple || node->items.size() > 64) damaged("a tensor without shape or strides");
    std::vector<int64_t> numbers;
    for (const PickleRef item : node->items) numbers.push_back(at(item, Kind::integer, "a shape of other than integers").integer);
    return numbers;
  }

  template <size_t N>
  Dtype torch_type(const std::array<TorchName, N>& table, const PickleNode& global) const {
    const auto* found = std::ranges::find(table, global.name, &TorchName::name);
    if (global.kind != Kind::global || found == table.end()) {
      throw InputError("{} holds a tensor of the type {}, which is not supported; convert it to float32", file_,
                       tessera::quoted(global.name));
    }
    return found->dtype;
  }

  const Pickle& pickle_;
  const TorchStorages& storages_;
  const std::string& file_;
  std::vector<TorchTensor> tensors_;
  std::set<std::string> names_;
  size_t visits_ = 0;
};

// The older layout: pickles of a magic number, a version, the machine, the object, its storages' keys; then each storage with its length.
class LegacyReader {
 public:
  explicit LegacyReader(Bytes bytes) : bytes_(std::move(bytes)) {}

  std::shared_ptr<const TorchStorages> read() {
    if (next().text != legacy_magic) throw InputError("{} is no file of torch.save; give a .pt or .pth file", bytes_.name);
    if (next().integer != 1001) throw InputError("{} has an unknown version; save it again with a newer PyTorch", bytes_.name);
    check_machine();
    const size_t begin = position_;
    const Pickle object = take();
    const std::span<const std::byte> description = bytes_.view.subspan(begin, position_ - begin);
    for (const PickleNode& node : object.nodes) {
      if (node.kind == Kind::persistent) note_size(object, object.at(node.items[0]));
    }
    return torch_stream_storages(bytes_, description, runs());
  }

 private:
  Pickle take() {
    Pickle pickle = parse_pickle(bytes_.view.subspan(position_), bytes_.name);
    position_ += pickle.end;
    return pickle;
  }
  PickleNode next() {
    const Pickle pickle = take();
    return pickle.at(pickle.root);
  }
  void check_machine() {
    const Pickle machine = take();
    const std::vector<PickleRef>& items = machine.at(machine.root).items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      if (machine.at(items[i]).text == "little_endian" && machine.at(items[i + 1]).integer == 0) {
        throw InputError("{} was saved on a big-endian machine; save it again on another", bytes_.name);
      }
    }
  }
  void note_size(const Pickle& object, const PickleNode& id) {
    if (id.kind != Kind::tuple || id.items.size() < 5) return;
    const auto* type = std::ranges::find(storage_classes, object.at(id.items[1]).name, &TorchName::name);
    const bool known = type != storage_classes.end();
    sizes_[std::string(object.at(id.items[2]).text)] = known ? static_cast<uint64_t>(traits(type->dtype).block_bytes) : 1;
  }
  std::vector<StorageRun> runs() {
    const Pickle keys = take();
    std::vector<StorageRun> found;
    for (const PickleRef ref : keys.at(keys.root).items) {
      StorageRun run;
      run.key = keys.at(ref).text;
      const uint64_t left = bytes_.size() - position_;
      const auto size = sizes_.find(run.key);
      if (left < sizeof(int64_t) || size == sizes_.end())
        throw InputError("{} is cut short: storage {} is missing; copy it again", bytes_.name, tessera::quoted(run.key));
      const auto elements = read_number<uint64_t>(bytes_.view.data() + position_);
      if (elements > (left - sizeof(int64_t)) / size->second) {
        throw InputError("{} is cut short: storage {} needs {} elements of {} bytes, {} bytes are left; copy it again", bytes_.name,
                         tessera::quoted(run.key), elements, size->second, left - sizeof(int64_t));
      }
      run.begin = position_ + sizeof(int64_t);
      run.bytes = elements * size->second;
      position_ = run.begin + run.bytes;
      found.push_back(std::move(run));
    }
    return found;
  }

  Bytes bytes_;
  size_t position_ = 0;
  std::unordered_map<std::string, uint64_t> sizes_;  // bytes of an element, by storage key
};

void gather(const TorchTensor& tensor, const std::byte* from, std::byte* to) {
  const auto size = static_cast<size_t>(traits(tensor.info.dtype).block_bytes);
  const size_t rank = tensor.strides.size();
  std::vector<int64_t> index(rank, 0);
  int64_t at = 0;
  for (int64_t left = tensor.info.elements(); left > 0; --left, to += size) {
    std::memcpy(to, from + static_cast<size_t>(at) * size, size);
    for (size_t d = rank; d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.info.shape[d]) break;
      at -= tensor.strides[d] * index[d];
      index[d] = 0;
    }
  }
}

}  // namespace

bool TorchTensor::contiguous() const {
  int64_t expected = 1;
  for (size_t d = strides.size(); d-- > 0;) {
    if (info.shape[d] != 1 && strides[d] != expected) return info.elements() == 0;
    expected *= info.shape[d];
  }
  return true;
}

TorchFile TorchFile::open(const std::filesystem::path& path) { return parse(map_file(path)); }

TorchFile TorchFile::parse(Bytes bytes) {
  const std::string name = bytes.name;
  TorchFile file;
  const bool legacy = bytes.size() > 14 && std::memcmp(bytes.view.data() + 4, legacy_magic.data(), legacy_magic.size()) == 0;
  if (!is_zip(bytes) && !legacy) throw InputError("{} is no file of torch.save; give a .pt or .pth file", name);
  file.storages_ = legacy ? LegacyReader(std::move(bytes)).read() : open_torch_zip(std::move(bytes));
  const Pickle pickle = parse_pickle(file.storages_->pickle(), name);
  file.tensors_ = TensorCollector(pickle, *file.storages_, name).collect();
  for (size_t i = 0; i < file.tensors_.size(); ++i) file.index_.emplace(file.tensors_[i].info.name, i);
  return file;
}

const TorchTensor* TorchFile::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void TorchFile::read(const TorchTensor& tensor, std::byte* to) const {
  if (tensor.info.bytes == 0) return;
  const auto size = static_cast<uint64_t>(traits(tensor.info.dtype).block_bytes);
  if (tensor.contiguous()) return storages_->read(tensor.storage, tensor.offset * size, {to, tensor.info.bytes});
  std::vector<std::byte> covered(static_cast<size_t>(reach(tensor.info, tensor.strides)) * size);
  storages_->read(tensor.storage, tensor.offset * size, covered);
  gather(tensor, covered.data(), to);
}

}  // namespace tessera::tensor
