#include "tessera/data/input.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/base/error.h"

namespace tessera::data {

// The open file with a block of its bytes, and whichever unpacker its first bytes ask for.
struct ByteReader::Unpacker {
  enum class Packed { no, gzip, zstd };

  explicit Unpacker(const std::filesystem::path& path) : name(path.string()), block(size_t{1} << 16) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) throw InputError("{} is a folder; give a file", name);
    file.reset(std::fopen(path.c_str(), "rb"));
    if (!file) throw InputError("{} cannot be opened: {}; check the path", name, std::strerror(errno));
    refill();
    const auto starts = [&](std::initializer_list<uint8_t> magic) {
      return used_end >= magic.size() && std::equal(magic.begin(), magic.end(), reinterpret_cast<const uint8_t*>(block.data()));
    };
    if (starts({0x1F, 0x8B})) {
      packed = Packed::gzip;
      if (inflateInit2(&gzip, 15 + 16) != Z_OK) throw WorkError("zlib could not start for {}", name);
      gzip_open = true;
    } else if (starts({0x28, 0xB5, 0x2F, 0xFD})) {
      packed = Packed::zstd;
      zstd.reset(ZSTD_createDStream());
      if (!zstd) throw WorkError("zstd could not start for {}", name);
      ZSTD_DCtx_setParameter(zstd.get(), ZSTD_d_windowLogMax, 27);  // 128 MiB: what a frame may ask of the memory
    }
  }
  ~Unpacker() {
    if (gzip_open) inflateEnd(&gzip);
  }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  size_t left() const { return used_end - used_begin; }

  // The next block of the file; false at its end.
  bool refill() {
    used_begin = 0;
    used_end = std::fread(block.data(), 1, block.size(), file.get());
    if (used_end < block.size() && std::ferror(file.get())) throw InputError("{} cannot be read: {}", name, std::strerror(errno));
    return used_end > 0;
  }

  [[noreturn]] void damaged(const char* kind, const char* why) const {
    throw InputError("{} is no whole {} file: {}; copy it again", name, kind, why ? why : "damaged data");
  }

  size_t plain(char* into, size_t size) {
    if (left() == 0 && !refill()) return 0;
    const size_t n = std::min(size, left());
    std::memcpy(into, block.data() + used_begin, n);
    used_begin += n;
    return n;
  }

  size_t gunzip(char* into, size_t size) {
    size = std::min<size_t>(size, 1U << 30);
    gzip.next_out = reinterpret_cast<Bytef*>(into);
    gzip.avail_out = static_cast<uInt>(size);
    while (gzip.avail_out == size) {
      if (left() == 0 && !refill()) {
        if (!between) damaged("gzip", "it ends early");
        return 0;
      }
      if (between && !next_member()) return 0;
      gzip.next_in = reinterpret_cast<Bytef*>(block.data() + used_begin);
      gzip.avail_in = static_cast<uInt>(left());
      const int result = inflate(&gzip, Z_NO_FLUSH);
      used_begin = used_end - gzip.avail_in;
      if (result == Z_STREAM_END) {
        between = true;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        damaged("gzip", gzip.msg);
      }
    }
    return size - gzip.avail_out;
  }

  // After a member's end: the next member, or padding of zeros up to the end of the file (false).
  bool next_member() {
    if (block[used_begin] == 0) {
      do {
        while (left() > 0)
          if (block[used_begin++] != 0) damaged("gzip", "bytes after its end");
      } while (refill());
      return false;
    }
    inflateReset(&gzip);
    between = false;
    return true;
  }

  size_t unzstd(char* into, size_t size) {
    ZSTD_outBuffer out{into, size, 0};
    while (out.pos == 0) {
      if (left() == 0 && !refill() && between) return 0;
      const bool at_end = left() == 0;
      ZSTD_inBuffer in{block.data() + used_begin, left(), 0};
      const size_t result = ZSTD_decompressStream(zstd.get(), &out, &in);
      if (ZSTD_isError(result)) damaged("zstd", ZSTD_getErrorName(result));
      used_begin += in.pos;
      between = result == 0;
      if (at_end && out.pos == 0) damaged("zstd", "it ends early");
    }
    return out.pos;
  }

  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
    void operator()(ZSTD_DStream* s) const { ZSTD_freeDStream(s); }
  };
  std::string name;
  std::unique_ptr<std::FILE, Close> file;
  std::vector<char> block;
  size_t used_begin = 0, used_end = 0;
  Packed packed = Packed::no;
  z_stream gzip{};
  bool gzip_open = false;
  bool between = false;  // a member or frame has ended and none has begun
  std::unique_ptr<ZSTD_DStream, Close> zstd;
};

ByteReader::ByteReader(const std::filesystem::path& path) : path_(path), unpacker_(std::make_unique<Unpacker>(path)) {}
ByteReader::~ByteReader() = default;
ByteReader::ByteReader(ByteReader&&) noexcept = default;
ByteReader& ByteReader::operator=(ByteReader&&) noexcept = default;

size_t ByteReader::read(char* into, size_t size) {
  if (size == 0) return 0;
  switch (unpacker_->packed) {
    case Unpacker::Packed::gzip:
      return unpacker_->gunzip(into, size);
    case Unpacker::Packed::zstd:
      return unpacker_->unzstd(into, size);
    default:
      return unpacker_->plain(into, size);
  }
}

LineReader::LineReader(const std::filesystem::path& path, size_t longest) : bytes_(path), longest_(longest), block_(size_t{1} << 16, '\0') {
  fill();
  if (std::string_view(block_).substr(0, end_).starts_with("\xEF\xBB\xBF")) begin_ = 3;
}

bool LineReader::fill() {
  begin_ = 0;
  end_ = bytes_.read(block_.data(), block_.size());
  return end_ > 0;
}

bool LineReader::next(std::string& line) {
  line.clear();
  if (begin_ == end_ && !fill()) return false;
  ++number_;
  for (;;) {
    const std::string_view rest(block_.data() + begin_, end_ - begin_);
    const size_t at = rest.find('\n');
    const size_t n = std::min(at, rest.size());
    if (line.size() + n > longest_)
      throw InputError("{}:{}: the line is longer than {} bytes; split the file into lines", path().string(), number_, longest_);
    line.append(rest.substr(0, n));
    begin_ += n + (at != std::string_view::npos);
    if (at != std::string_view::npos || !fill()) break;
  }
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

std::string read_text(const std::filesystem::path& path, uint64_t most) {
  ByteReader bytes(path);
  std::string text;
  std::vector<char> block(size_t{1} << 16);
  while (const size_t n = bytes.read(block.data(), block.size())) {
    if (text.size() + n > most) throw InputError("{} holds more than {} bytes; split it", path.string(), most);
    text.append(block.data(), n);
  }
  return text;
}

}  // namespace tessera::data
