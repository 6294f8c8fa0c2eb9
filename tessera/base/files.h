#pragma once
// Files read whole or mapped, and written so that a crash leaves the old file or the new one, never half of one.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

// The bytes of a file. InputError when it is missing, a folder, unreadable or larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, uint64_t limit = uint64_t{1} << 32);

// A memory map; an empty file maps to an empty span. Copies share the map. InputError as read_file.
// Unlike a stream, a map shows a later truncation of the file as SIGBUS: models are opened once and not rewritten in place.
class MappedFile {
 public:
  enum class Mode {
    read_only,
    copy_on_write,  // the bytes may be changed in memory, the file never is
  };
  explicit MappedFile(const std::filesystem::path& path, Mode mode = Mode::read_only);
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }
  std::shared_ptr<const void> owner() const { return map_; }  // keeps the map alive; null for an empty file

 private:
  std::filesystem::path path_;
  std::shared_ptr<const void> map_;
  std::span<const std::byte> bytes_;
};

// A file under a temporary name beside `path`; commit() flushes it to the disk and renames it. Without commit() it disappears.
// WorkError when the disk is full or the folder cannot be written.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t position() const { return position_; }                    // bytes written so far
  void write_at(uint64_t position, const void* data, size_t bytes);  // overwrite what was written before
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int file_ = -1;
  uint64_t position_ = 0;
};

void write_file(const std::filesystem::path& path, std::string_view text);  // AtomicFile, write, commit

// A folder under a temporary name beside `path`, renamed by commit(). InputError when `path` exists and is not an empty folder, unless
// `replace`: then the old folder goes once the new one is complete. Without commit() it disappears with all it holds.
class AtomicFolder {
 public:
  explicit AtomicFolder(std::filesystem::path path, bool replace = false);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  const std::filesystem::path& folder() const { return temporary_; }  // write files here
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  bool committed_ = false;
};

}  // namespace tessera
