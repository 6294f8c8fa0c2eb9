#include "tessera/tensor/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "tessera/base/error.h"

namespace tessera::tensor {
namespace {

constexpr std::array<std::string_view, 13> gguf_type_names = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                              "bool", "string", "array", "u64", "i64", "f64"};
constexpr uint32_t max_dimensions = 4;    // ggml's limit
constexpr int max_array_depth = 4;        // arrays of arrays: none are known, the format allows them
constexpr uint64_t smallest_entry = 13;   // of metadata: key length, type, one byte
constexpr uint64_t smallest_tensor = 24;  // of the tensor list: name length, dimensions, type, offset

// Of one value; 0 for strings and arrays, whose size varies.
uint64_t gguf_type_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

std::string_view name(GgufType type) { return gguf_type_names.at(static_cast<size_t>(type)); }

// Walks the file once; every length is compared with the bytes left before it is used.
class GgufParser {
 public:
  explicit GgufParser(Bytes bytes) { file_.bytes_ = std::move(bytes); }

  GgufFile parse() {
    const auto [tensors, entries] = parse_head();
    for (uint64_t i = 0; i < entries; ++i) parse_entry();
    for (uint64_t i = 0; i < tensors; ++i) parse_tensor();
    place_tensors();
    return std::move(file_);
  }

 private:
  const std::string& file_name() const { return file_.bytes_.name; }
  uint64_t left() const { return file_.bytes_.size() - position_; }

  const std::byte* take(uint64_t bytes, std::string_view what) {
    if (bytes > left()) {
      throw InputError("{} is cut short or damaged: {} at byte {} needs {} bytes, {} are left; copy it again", file_name(), what, position_,
                       bytes, left());
    }
    const std::byte* at = file_.bytes_.view.data() + position_;
    position_ += bytes;
    return at;
  }
  template <class T>
  T number(std::string_view what) {
    return read_number<T>(take(sizeof(T), what));
  }
  std::string_view string(std::string_view what) {
    const auto length = number<uint64_t>(what);
    return {reinterpret_cast<const char*>(take(length, what)), length};
  }

  std::pair<uint64_t, uint64_t> parse_head() {
    if (left() < 4 || std::memcmp(file_.bytes_.view.data(), "GGUF", 4) != 0) {
      throw InputError("{} is no GGUF file: it does not begin with GGUF; check what kind of file it is", file_name());
    }
    position_ = 4;
    file_.version_ = number<uint32_t>("the version");
    if (file_.version_ != 2 && file_.version_ != 3) {
      throw InputError("{} is GGUF version {}{}, versions 2 and 3 are read; convert the model again", file_name(), file_.version_,
                       file_.version_ != 0 && (file_.version_ & 0xffffU) == 0 ? " (a big-endian file)" : "");
    }
    const auto tensors = number<uint64_t>("the number of tensors");
    const auto entries = number<uint64_t>("the number of metadata entries");
    if (tensors > left() / smallest_tensor || entries > left() / smallest_entry) {
      throw InputError("{} is cut short or damaged: {} bytes cannot hold the {} tensors and {} metadata entries it promises; copy it again",
                       file_name(), file_.bytes_.size(), tensors, entries);
    }
    return {tensors, entries};
  }

  GgufType type(std::string_view key) {
    const auto number_of_type = number<uint32_t>("a type");
    if (number_of_type >= gguf_type_names.size()) {
      throw InputError("{}: metadata {} has the unknown type {}; copy it again", file_name(), tessera::quoted(key), number_of_type);
    }
    return static_cast<GgufType>(number_of_type);
  }

  void parse_entry() {
    const std::string_view key = string("a metadata key");
    GgufValue value;
    value.type = type(key);
    const uint64_t begin = position_;
    skip(value, key, 0);
    value.raw = file_.bytes_.view.subspan(begin, position_ - begin);
    if (value.type == GgufType::array) value.raw = value.raw.subspan(12);  // element type and count are decoded
    if (!file_.key_index_.emplace(key, file_.keys_.size()).second) {
      throw InputError("{} holds metadata {} twice; the file is damaged", file_name(), tessera::quoted(key));
    }
    file_.keys_.emplace_back(key);
    file_.values_.push_back(value);
  }

  // Moves past a value; fills element and count of an array.
  void skip(GgufValue& value, std::string_view key, int depth) {
    if (value.type == GgufType::string) {
      string("a text");
    } else if (value.type != GgufType::array) {
      take(gguf_type_bytes(value.type), "a value");
    } else {
      if (depth == max_array_depth) {
        throw InputError("{}: metadata {} nests arrays deeper than {}; the file is damaged", file_name(), tessera::quoted(key),
                         max_array_depth);
      }
      value.element = type(key);
      value.count = number<uint64_t>("an array's length");
      if (const uint64_t size = gguf_type_bytes(value.element)) {
        if (value.count > left() / size) take(std::numeric_limits<uint64_t>::max(), "an array");
        take(value.count * size, "an array");
        return;
      }
      for (uint64_t i = 0; i < value.count; ++i) {  // each step takes at least 8 bytes or throws
        GgufValue element;
        element.type = value.element;
        skip(element, key, depth + 1);
      }
    }
  }

  void parse_tensor() {
    TensorInfo tensor;
    tensor.name = string("a tensor's name");
    const auto rank = number<uint32_t>("a tensor's rank");
    if (rank > max_dimensions) {
      throw InputError("{}: tensor {} has {} dimensions, at most {} are allowed; copy it again", file_name(), tessera::quoted(tensor.name),
                       rank, max_dimensions);
    }
    for (uint32_t i = 0; i < rank; ++i) {
      const auto size = number<uint64_t>("a tensor's shape");
      tensor.shape.insert(tensor.shape.begin(), size > std::numeric_limits<int64_t>::max() ? -1 : static_cast<int64_t>(size));
    }
    const auto type_number = number<uint32_t>("a tensor's type");
    const auto dtype = dtype_of_gguf(type_number);
    if (!dtype) {
      const std::string_view known = gguf_type_name(type_number);
      throw InputError(
          "{}: tensor {} has the type {}, which is not supported; use a file in F32, F16, BF16, Q8_0, Q4_0 to Q5_1 or Q2_K to Q6_K",
          file_name(), tessera::quoted(tensor.name), known.empty() ? fmt::format("number {}", type_number) : std::string(known));
    }
    tensor.dtype = *dtype;
    tensor.bytes = bytes_of(tensor.name, tensor.dtype, tensor.shape);
    file_.begins_.push_back(number<uint64_t>("a tensor's offset"));
    if (!file_.tensor_index_.emplace(tensor.name, file_.tensors_.size()).second) {
      throw InputError("{} holds tensor {} twice; the file is damaged", file_name(), tessera::quoted(tensor.name));
    }
    file_.tensors_.push_back(std::move(tensor));
  }

  uint64_t alignment() const {
    if (!file_.has("general.alignment")) return 32;
    const uint64_t alignment = file_.u64("general.alignment");
    if (!std::has_single_bit(alignment) || alignment > (uint64_t{1} << 30)) {
      throw InputError("{}: general.alignment is {}, a power of two is expected; copy it again", file_name(), alignment);
    }
    return alignment;
  }

  // Turns offsets into places in the file: aligned, inside it, apart from each other.
  void place_tensors() {
    const uint64_t align = alignment();
    const uint64_t data = (position_ + align - 1) / align * align;
    const uint64_t data_bytes = data < file_.bytes_.size() ? file_.bytes_.size() - data : 0;
    std::vector<size_t> order(file_.tensors_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return std::pair(file_.begins_[i], file_.tensors_[i].bytes); });
    uint64_t position = 0;
    for (const size_t i : order) {
      const TensorInfo& tensor = file_.tensors_[i];
      uint64_t& begin = file_.begins_[i];
      if (begin % align != 0) {
        throw InputError("{}: tensor {} begins at byte {} of the data, no multiple of {}; copy it again", file_name(),
                         tessera::quoted(tensor.name), begin, align);
      }
      if (begin > data_bytes || tensor.bytes > data_bytes - begin) {
        throw InputError("{} is cut short: tensor {} needs {} bytes from byte {} of the data, which has {}; copy it again", file_name(),
                         tessera::quoted(tensor.name), tensor.bytes, begin, data_bytes);
      }
      if (begin < position && tensor.bytes > 0) {
        throw InputError("{}: tensor {} overlaps the one before it; copy it again", file_name(), tessera::quoted(tensor.name));
      }
      position = std::max(position, begin + tensor.bytes);
      begin = tensor.bytes == 0 ? 0 : begin + data;
    }
  }

  GgufFile file_;
  uint64_t position_ = 0;
};

GgufFile GgufFile::open(const std::filesystem::path& path) { return parse(map_file(path)); }

GgufFile GgufFile::parse(Bytes bytes) { return GgufParser(std::move(bytes)).parse(); }

const TensorInfo* GgufFile::find(std::string_view tensor) const {
  const auto found = tensor_index_.find(std::string(tensor));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> GgufFile::data(const TensorInfo& tensor) const {
  const size_t i = tensor_index_.at(tensor.name);
  return bytes_.view.subspan(begins_[i], tensors_[i].bytes);
}

}  // namespace tessera::tensor
