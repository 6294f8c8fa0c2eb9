#pragma once
// GGUF, llama.cpp's model file: typed metadata, tensor list, aligned tensor data. Versions 2 and 3 are read, 3 is written.

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/tensor/bytes.h"
#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
std::string_view name(GgufType type);

// A metadata value, checked but not yet decoded: it points into the file.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;  // of an array
  uint64_t count = 0;               // elements of an array
  std::span<const std::byte> raw;   // the encoded value; an array's elements one after the other
};

// A file whose metadata and tensor list have been checked in full. The getters throw InputError, with the file's name and the key, when the
// key is missing or holds another kind of value.
class GgufFile {
 public:
  static GgufFile open(const std::filesystem::path& path);  // maps it; InputError says what is wrong and where
  static GgufFile parse(Bytes bytes);                       // the same over memory

  uint32_t version() const { return version_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in file order; shapes row-major: GGUF's own order reversed
  const TensorInfo* find(std::string_view tensor) const;               // null when there is none
  std::span<const std::byte> data(const TensorInfo& tensor) const;     // row-major; aligned as the file says, in the file
  const Bytes& bytes() const { return bytes_; }

  const std::vector<std::string>& keys() const { return keys_; }  // in file order
  bool has(std::string_view key) const { return find_value(key) != nullptr; }
  const GgufValue& value(std::string_view key) const;
  bool boolean(std::string_view key) const;
  uint64_t u64(std::string_view key) const;  // any integer type, not negative
  int64_t i64(std::string_view key) const;   // any integer type
  double f64(std::string_view key) const;    // F32, F64 or an integer
  std::string string(std::string_view key) const;
  std::vector<std::string_view> strings(std::string_view key) const;  // views into the file: valid while this object or a copy lives
  std::vector<int64_t> i64s(std::string_view key) const;              // an array of integers or booleans
  std::vector<double> f64s(std::string_view key) const;               // an array of F32, F64 or integers
  std::string shown(std::string_view key, size_t limit = 60) const;   // the value as text for a person, cut after `limit` bytes

 private:
  friend class GgufParser;
  const GgufValue* find_value(std::string_view key) const;

  Bytes bytes_;
  uint32_t version_ = 3;
  std::vector<std::string> keys_;
  std::vector<GgufValue> values_;
  std::unordered_map<std::string, size_t> key_index_, tensor_index_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint64_t> begins_;  // of tensors_[i], from the start of the file
};

// Collects metadata and tensors, then writes them atomically. Setting a key twice replaces its value; order is the order of first setting.
class GgufWriter {
 public:
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, bool value);
  void set_u32(std::string_view key, uint32_t value);
  void set_u64(std::string_view key, uint64_t value);
  void set_f32(std::string_view key, float value);
  void set(std::string_view key, const std::vector<std::string>& values);
  void set(std::string_view key, const std::vector<int32_t>& values);
  void set(std::string_view key, const std::vector<float>& values);
  void copy(std::string_view key, const GgufValue& value);  // as it stands in another file
  // F32, F16, BF16, Q8_0, Q4_0, Q4_1 (encode rows with quantised_blocks.h); other types, names over 63 bytes and more than four dimensions
  // throw InputError, as llama.cpp refuses them.
  void add(TensorSource tensor);
  void write(const std::filesystem::path& path);

 private:
  void put(std::string_view key, std::string encoded);  // type and value as they will stand in the file

  std::vector<std::pair<std::string, std::string>> metadata_;
  std::vector<TensorSource> tensors_;
};

}  // namespace tessera::tensor
