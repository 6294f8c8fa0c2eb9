#pragma once
// Memory that the ranks of one host see of each other: a segment of each rank, mapped into all of them.

#include "tessera/train/parallel/collective.h"

namespace tessera::train {

class HostMemory {
 public:
  // Every rank calls it with the same size, at least 1; segments are zero. Null, on all ranks alike, where they do not share a host or the
  // kernel does not let them see each other's memory.
  static std::shared_ptr<HostMemory> open(Collective& ranks, int64_t bytes);
  ~HostMemory();
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  std::byte* of(int64_t rank) const { return segments_[static_cast<size_t>(rank)]; }
  int64_t bytes() const { return bytes_; }  // of one segment

 private:
  HostMemory(int64_t ranks, int64_t bytes) : bytes_(bytes), segments_(static_cast<size_t>(ranks), nullptr) {}
  bool map(int64_t rank, int file);

  int64_t bytes_;
  std::vector<std::byte*> segments_;  // null: not mapped
};

}  // namespace tessera::train
