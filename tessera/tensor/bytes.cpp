#include "tessera/tensor/bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tessera/base/files.h"

namespace tessera::tensor {

Bytes map_file(const std::filesystem::path& path) {
  const MappedFile map(path, MappedFile::Mode::copy_on_write);
  return {map.bytes(), map.owner(), path.string(), true};
}

void Bytes::give_back(std::span<const std::byte> part) const {
  if (!mapped) return;
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data()), end = begin + part.size();
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first < last) ::madvise(const_cast<std::byte*>(part.data()) + (first - begin), last - first, MADV_DONTNEED);
}

}  // namespace tessera::tensor
