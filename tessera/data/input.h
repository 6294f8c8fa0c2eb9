#pragma once
// Files read as streams of bytes and lines, compressed or not, in bounded memory.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace tessera::data {

// Reads a file from its first to its last byte; gzip and zstd (recognised by their first bytes, whatever the name) are unpacked on the way,
// members and frames that follow each other included. Throws InputError when the file is missing, unreadable, damaged or cut short.
class ByteReader {
 public:
  explicit ByteReader(const std::filesystem::path& path);
  ~ByteReader();
  ByteReader(ByteReader&&) noexcept;
  ByteReader& operator=(ByteReader&&) noexcept;

  // Fills up to `size` bytes of `into`; returns how many, 0 at the end only.
  size_t read(char* into, size_t size);
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Unpacker;
  std::filesystem::path path_;
  std::unique_ptr<Unpacker> unpacker_;
};

// Lines of a ByteReader, without "\n" or "\r\n" and without a leading byte order mark. Holds one block and one line.
class LineReader {
 public:
  // `longest`: bytes a line may have; a longer one throws InputError, so that a small packed file cannot fill the memory.
  explicit LineReader(const std::filesystem::path& path, size_t longest = size_t{256} << 20);

  // The next line in `line`; false at the end. A last line without a line end counts.
  bool next(std::string& line);
  uint64_t number() const { return number_; }  // of the line last returned, from 1
  const std::filesystem::path& path() const { return bytes_.path(); }

 private:
  bool fill();

  ByteReader bytes_;
  size_t longest_;
  std::string block_;
  size_t begin_ = 0, end_ = 0;
  uint64_t number_ = 0;
};

// A whole file, unpacked. Throws InputError when it holds more than `most` bytes unpacked.
std::string read_text(const std::filesystem::path& path, uint64_t most = uint64_t{1} << 30);

}  // namespace tessera::data
