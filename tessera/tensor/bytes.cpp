#include "tessera/tensor/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "tessera/base/error.h"

namespace tessera::tensor {

Bytes map_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    if (errno == ENOENT) throw InputError("{} does not exist; check the path", path.string());
    throw InputError("{} cannot be opened: {}; check its permissions", path.string(), std::strerror(errno));
  }
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } const closer{file};
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw InputError("{} is not a regular file; give the path of a model file", path.string());
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return {{}, nullptr, path.string()};
  void* map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
  if (map == MAP_FAILED) throw InputError("{} cannot be mapped into memory: {}", path.string(), std::strerror(errno));
  std::shared_ptr<const void> owner(map, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  return {{static_cast<const std::byte*>(map), size}, std::move(owner), path.string()};
}

}  // namespace tessera::tensor
