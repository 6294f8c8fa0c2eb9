#include "tessera/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "tessera/base/error.h"

namespace fs = std::filesystem;

namespace tessera {

namespace {

struct Descriptor {  // closes a file descriptor when it leaves its scope
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

// Opens a regular file for reading and tells its size.
int open_regular(const fs::path& path, uint64_t& size) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // opening a named pipe must not wait for a writer
  if (file < 0) {
    if (errno == ENOENT) throw InputError("{} does not exist; check the path", path.string());
    throw InputError("{} cannot be opened: {}", path.string(), std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    const bool folder = S_ISDIR(status.st_mode);
    ::close(file);
    throw InputError("{} is {}, a file is expected", path.string(), folder ? "a folder" : "not a regular file");
  }
  size = static_cast<uint64_t>(status.st_size);
  return file;
}

// The ending of this process's temporary names: ".NAME.PID-COUNT.tmp".
std::string temporary_mark() { return fmt::format(".{}-", ::getpid()); }

// The path that a person gave: a temporary folder among its parts is called by the name that it will have.
fs::path given_path(const fs::path& path) {
  fs::path given;
  for (const auto& part : path) {
    const std::string name = part.string();
    const size_t mark = name.rfind(temporary_mark());
    given /= name.starts_with('.') && name.ends_with(".tmp") && mark != std::string::npos && mark > 1 ? name.substr(1, mark - 1) : name;
  }
  return given;
}

// What helps against an error of the system; empty when nothing is known to.
std::string_view remedy(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space and repeat";
    case EROFS:
      return "; give a path on a file system that can be written";
    case EACCES:
    case EPERM:
      return "; give a path in a folder that you may write into";
    case ENOENT:
      return "; make its folder first";
    case EFBIG:
      return "; raise the limit (ulimit -f), or give a path on a file system that takes larger files";
    default:
      return "";
  }
}

[[noreturn]] void fail_to_write(const fs::path& path, int error = errno) {
  const std::string reason = error == ENOSPC ? "the disk is full" : std::strerror(error);
  throw WorkError("{} cannot be written: {}{}", given_path(path).string(), reason, remedy(error));
}

// A name beside `path` that no other process or thread uses.
fs::path temporary_name(const fs::path& path) {
  static std::atomic<int> counter{0};
  const auto name = path.filename().empty() ? path.parent_path().filename() : path.filename();
  const auto parent = path.filename().empty() ? path.parent_path().parent_path() : path.parent_path();
  return parent / fmt::format(".{}{}{}.tmp", name.string(), temporary_mark(), counter++);
}

void flush_folder(const fs::path& folder) {
  const Descriptor file{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (file.value >= 0) ::fsync(file.value);  // some file systems cannot: the rename is then as durable as they make it
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t limit) {
  uint64_t size = 0;
  const Descriptor file{open_regular(path, size)};
  if (size > limit) throw InputError("{} has {} bytes, at most {} are expected", path.string(), size, limit);
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const auto got = ::read(file.value, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw InputError("{} cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) break;  // it shrank while we read
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

MappedFile::MappedFile(const fs::path& path, Mode mode) : path_(path) {
  uint64_t size = 0;
  const Descriptor file{open_regular(path, size)};
  if (size == 0) return;
  const bool own = mode == Mode::copy_on_write;
  void* map =
      ::mmap(nullptr, size, own ? PROT_READ | PROT_WRITE : PROT_READ, own ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED, file.value, 0);
  if (map == MAP_FAILED) throw InputError("{} cannot be mapped into memory: {}", path.string(), std::strerror(errno));
  map_ = std::shared_ptr<const void>(map, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  bytes_ = {static_cast<const std::byte*>(map), size};
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), temporary_(temporary_name(path_)) {
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file_ < 0) fail_to_write(path_);
}

AtomicFile::~AtomicFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  write_at(position_, data, bytes);
  position_ += bytes;
}

void AtomicFile::write_at(uint64_t position, const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto put = ::pwrite(file_, from, bytes, static_cast<off_t>(position));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_to_write(path_);
    from += put;
    position += static_cast<uint64_t>(put);
    bytes -= static_cast<size_t>(put);
  }
}

void AtomicFile::commit() {
  if (::fsync(file_) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) fail_to_write(path_);
  ::close(file_);
  file_ = -1;
  flush_folder(path_.parent_path());
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

AtomicFolder::AtomicFolder(fs::path path, bool replace) : path_(std::move(path)) {
  if (path_.filename().empty()) path_ = path_.parent_path();  // "out/" is "out"
  std::error_code error;
  const bool exists = fs::exists(path_, error);
  if (exists && !fs::is_directory(path_, error)) throw InputError("{} exists and is a file; give a new folder", path_.string());
  if (exists && !replace && !fs::is_empty(path_, error)) {
    throw InputError("{} exists and is not empty; give a new folder, or --force to replace it", path_.string());
  }
  if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), error);
  temporary_ = temporary_name(path_);
  if (!fs::create_directory(temporary_, error)) fail_to_write(path_, error.value());
}

AtomicFolder::~AtomicFolder() {
  std::error_code error;
  if (!committed_) fs::remove_all(temporary_, error);
}

void AtomicFolder::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(temporary_)) {
    if (!entry.is_regular_file()) continue;
    const Descriptor file{::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.value < 0 || ::fsync(file.value) != 0) fail_to_write(path_);
  }
  flush_folder(temporary_);
  fs::path old;
  if (fs::exists(path_)) {
    old = temporary_name(path_);
    if (::rename(path_.c_str(), old.c_str()) != 0) fail_to_write(path_);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    if (!old.empty()) (void)::rename(old.c_str(), path_.c_str());
    errno = error;
    fail_to_write(path_);
  }
  committed_ = true;
  flush_folder(path_.parent_path());
  std::error_code error;
  if (!old.empty()) fs::remove_all(old, error);
}

}  // namespace tessera
