#include <algorithm>
#include <set>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/tensor/gguf.h"

namespace tessera::tensor {
namespace {

constexpr uint64_t write_alignment = 32;    // GGUF's default, so that general.alignment need not be written
constexpr size_t longest_tensor_name = 63;  // ggml stores names in 64 bytes

template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& out, std::string_view text) {
  append_number<uint64_t>(out, text.size());
  out += text;
}

template <class T>
std::string encoded(GgufType type, T value) {
  std::string out;
  append_number(out, static_cast<uint32_t>(type));
  append_number(out, value);
  return out;
}

std::string encoded_array_head(GgufType element, uint64_t count) {
  std::string out = encoded(GgufType::array, static_cast<uint32_t>(element));
  append_number(out, count);
  return out;
}

template <class T>
std::string encoded_array(GgufType element, const std::vector<T>& values) {
  std::string out = encoded_array_head(element, values.size());
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return out;
}

uint64_t aligned(uint64_t position) { return (position + write_alignment - 1) / write_alignment * write_alignment; }

void pad(AtomicFile& file) { file.write(std::string(aligned(file.position()) - file.position(), '\0')); }

}  // namespace

void GgufWriter::put(std::string_view key, std::string value) {
  const auto found = std::ranges::find(metadata_, key, &std::pair<std::string, std::string>::first);
  if (found != metadata_.end()) {
    found->second = std::move(value);
  } else {
    metadata_.emplace_back(key, std::move(value));
  }
}

void GgufWriter::set(std::string_view key, std::string_view value) {
  std::string out;
  append_number(out, static_cast<uint32_t>(GgufType::string));
  append_text(out, value);
  put(key, std::move(out));
}

void GgufWriter::set(std::string_view key, bool value) { put(key, encoded<uint8_t>(GgufType::boolean, value ? 1 : 0)); }
void GgufWriter::set_u32(std::string_view key, uint32_t value) { put(key, encoded(GgufType::u32, value)); }
void GgufWriter::set_u64(std::string_view key, uint64_t value) { put(key, encoded(GgufType::u64, value)); }
void GgufWriter::set_f32(std::string_view key, float value) { put(key, encoded(GgufType::f32, value)); }
void GgufWriter::set(std::string_view key, const std::vector<int32_t>& values) { put(key, encoded_array(GgufType::i32, values)); }
void GgufWriter::set(std::string_view key, const std::vector<float>& values) { put(key, encoded_array(GgufType::f32, values)); }

void GgufWriter::set(std::string_view key, const std::vector<std::string>& values) {
  std::string out = encoded_array_head(GgufType::string, values.size());
  for (const std::string& value : values) append_text(out, value);
  put(key, std::move(out));
}

void GgufWriter::copy(std::string_view key, const GgufValue& value) {
  if (key == "general.alignment") return;  // ours may differ
  std::string out;
  if (value.type == GgufType::array) {
    out = encoded_array_head(value.element, value.count);
  } else {
    append_number(out, static_cast<uint32_t>(value.type));
  }
  out.append(reinterpret_cast<const char*>(value.raw.data()), value.raw.size());
  put(key, std::move(out));
}

void GgufWriter::add(TensorSource tensor) {
  TensorInfo& info = tensor.info;
  const bool writable = info.dtype == Dtype::f32 || info.dtype == Dtype::f16 || info.dtype == Dtype::bf16 || info.dtype == Dtype::q8_0 ||
                        info.dtype == Dtype::q4_0 || info.dtype == Dtype::q4_1;
  if (!writable) {
    throw InputError("tensor {}: GGUF files are not written in {}; use F32, F16, BF16, Q8_0, Q4_0 or Q4_1", tessera::quoted(info.name),
                     name(info.dtype));
  }
  if (info.name.size() > longest_tensor_name) {
    throw InputError("tensor {} has a name of {} bytes, GGUF allows {}; rename it", tessera::quoted(info.name), info.name.size(),
                     longest_tensor_name);
  }
  if (info.shape.size() > 4) {
    throw InputError("tensor {} has {} dimensions, GGUF allows 4; reshape it", tessera::quoted(info.name), info.shape.size());
  }
  info.bytes = bytes_of(info.name, info.dtype, info.shape);
  tensors_.push_back(std::move(tensor));
}

void GgufWriter::write(const std::filesystem::path& path) {
  std::string head = "GGUF";
  append_number<uint32_t>(head, 3);
  append_number<uint64_t>(head, tensors_.size());
  append_number<uint64_t>(head, metadata_.size());
  for (const auto& [key, value] : metadata_) {
    append_text(head, key);
    head += value;
  }
  uint64_t offset = 0;
  std::set<std::string_view> names;
  for (const TensorSource& t : tensors_) {
    if (!names.insert(t.info.name).second) throw InputError("two tensors are named {}; rename one", tessera::quoted(t.info.name));
    append_text(head, t.info.name);
    append_number(head, static_cast<uint32_t>(t.info.shape.size()));
    for (auto size = t.info.shape.rbegin(); size != t.info.shape.rend(); ++size) append_number(head, static_cast<uint64_t>(*size));
    append_number(head, traits(t.info.dtype).gguf.value());
    append_number(head, offset);
    offset += aligned(t.info.bytes);
  }
  AtomicFile file(path);
  file.write(head);
  pad(file);
  for (const TensorSource& t : tensors_) {
    const std::span<const std::byte> bytes = t.bytes();
    if (bytes.size() != t.info.bytes) {
      throw WorkError("tensor {} gave {} bytes to write, its shape needs {}", tessera::quoted(t.info.name), bytes.size(), t.info.bytes);
    }
    file.write(bytes.data(), bytes.size());
    pad(file);
  }
  file.commit();
}

}  // namespace tessera::tensor
