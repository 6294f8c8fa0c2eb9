#pragma once
// TensorBoard event files: records of {length u64, masked CRC32C of it u32, bytes, masked CRC32C of the bytes u32}, little-endian; the
// bytes are a protobuf `Event`. Layout: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, framework/summary.proto.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace tessera::run {

// CRC-32C (Castagnoli) of `bytes`; crc32c("123456789") is 0xe3069283.
uint32_t crc32c(std::string_view bytes);
// The rotation and constant that TensorFlow's records add to a CRC.
uint32_t masked_crc32c(std::string_view bytes);
// One record around `bytes`.
std::string event_record(std::string_view bytes);

// One event file of a run. `time` is seconds since 1970. Every call is flushed. Throws WorkError when the disk refuses.
class EventFile {
 public:
  // Makes `folder`/events.out.tfevents.SECONDS.HOST.PID.N, N the first free number; never appends to an older file.
  explicit EventFile(const std::filesystem::path& folder);

  void scalar(const std::string& tag, int64_t step, double time, double value);  // stored as float32, TensorBoard's type
  // Throws InputError when `png` does not start as a PNG does.
  void image(const std::string& tag, int64_t step, double time, std::string_view png);
  void text(const std::string& tag, int64_t step, double time, std::string_view text);  // shown as Markdown by TensorBoard

  const std::filesystem::path& path() const { return path_; }

 private:
  void append(std::string_view event);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

}  // namespace tessera::run
