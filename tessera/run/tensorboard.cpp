#include "tessera/run/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "tessera/base/error.h"

namespace tessera::run {

namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1) ? 0x82f63b78u : 0u);  // Castagnoli's, reflected
    table[byte] = remainder;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<char>((value >> (8 * i)) & 0xff);
  return bytes;
}

// Protobuf wire format: a key is field number * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>((value & 0x7f) | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}
std::string varint_field(int number, int64_t value) {
  return varint(static_cast<uint64_t>(number) * 8) + varint(static_cast<uint64_t>(value));
}
std::string double_field(int number, double value) {
  return varint(static_cast<uint64_t>(number) * 8 + 1) + little_endian(std::bit_cast<uint64_t>(value));
}
std::string float_field(int number, float value) {
  return varint(static_cast<uint64_t>(number) * 8 + 5) + little_endian(std::bit_cast<uint32_t>(value));
}
std::string bytes_field(int number, std::string_view value) {
  return varint(static_cast<uint64_t>(number) * 8 + 2) + varint(value.size()) + std::string(value);
}

// Event { wall_time = 1; step = 2; file_version = 3; summary = 5 }
std::string summary_event(int64_t step, double time, const std::string& value) {
  return double_field(1, time) + varint_field(2, step) + bytes_field(5, bytes_field(1, value));
}

uint32_t png_size_field(std::string_view png, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(png[at + i]);
  return value;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 && name[0] ? std::string(name.data()) : "localhost";
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t remainder = 0xffffffffu;
  for (const char byte : bytes) remainder = (remainder >> 8) ^ kCrcTable[(remainder ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~remainder;
}

uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

std::string event_record(std::string_view bytes) {
  const std::string length = little_endian(uint64_t{bytes.size()});
  return length + little_endian(masked_crc32c(length)) + std::string(bytes) + little_endian(masked_crc32c(bytes));
}

EventFile::EventFile(const std::filesystem::path& folder) : file_(nullptr, std::fclose) {
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::string stem = fmt::format("events.out.tfevents.{:010}.{}.{}", static_cast<int64_t>(now), host_name(), getpid());
  for (int n = 0; !file_; ++n) {
    path_ = folder / fmt::format("{}.{}", stem, n);
    file_.reset(std::fopen(path_.c_str(), "wbx"));  // x: never an existing file
    if (!file_ && errno != EEXIST) throw WorkError("cannot write {}: {}; choose another --out", path_.string(), std::strerror(errno));
  }
  append(double_field(1, now) + bytes_field(3, "brain.Event:2"));
}

void EventFile::append(std::string_view event) {
  const std::string record = event_record(event);
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() || std::fflush(file_.get()) != 0)
    throw WorkError("cannot write {}: {}; free some disk space", path_.string(), std::strerror(errno));
}

// Summary.Value { tag = 1; simple_value = 2; image = 4; tensor = 8; metadata = 9 }
void EventFile::scalar(const std::string& tag, int64_t step, double time, double value) {
  append(summary_event(step, time, bytes_field(1, tag) + float_field(2, static_cast<float>(value))));
}

// Image { height = 1; width = 2; colorspace = 3; encoded_image_string = 4 }
void EventFile::image(const std::string& tag, int64_t step, double time, std::string_view png) {
  if (png.size() < 24 || png.substr(0, 8) != "\x89PNG\r\n\x1a\n" || png.substr(12, 4) != "IHDR")
    throw InputError("image {}: these {} bytes are not a PNG; encode the image as PNG", tessera::quoted(tag), png.size());
  const std::string image =
      varint_field(1, png_size_field(png, 20)) + varint_field(2, png_size_field(png, 16)) + varint_field(3, 3) + bytes_field(4, png);
  append(summary_event(step, time, bytes_field(1, tag) + bytes_field(4, image)));
}

// A rank-1 string tensor { dtype = 1: DT_STRING 7; tensor_shape = 2 { dim = 2 { size = 1 } }; string_val = 8 } of the plugin "text":
// metadata { plugin_data = 1 { plugin_name = 1 } }.
void EventFile::text(const std::string& tag, int64_t step, double time, std::string_view text) {
  const std::string shape = bytes_field(2, varint_field(1, 1));
  const std::string tensor = varint_field(1, 7) + bytes_field(2, shape) + bytes_field(8, text);
  const std::string metadata = bytes_field(1, bytes_field(1, "text"));
  append(summary_event(step, time, bytes_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, metadata)));
}

}  // namespace tessera::run
