#pragma once
// Large blocks of memory that are kept after use, within what the work has once needed.

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

namespace tessera {

// Each block is a map of its own, so that it leaves no hole in a heap. A block given back is kept for the next request of its size, for its
// pages are there already; but blocks in use and kept ones together never take more than a little (20 MiB or 1/64) above the most that was
// ever in use at once (spare): what is kept beyond goes back to the system, the longest unused first. From several threads.
class MapCache {
 public:
  MapCache() = default;
  MapCache(const MapCache&) = delete;
  MapCache& operator=(const MapCache&) = delete;
  ~MapCache();  // unmaps what is kept; blocks in use stay

  void* take(size_t bytes);     // at least `bytes`, of any contents, begun on a page; std::bad_alloc
  bool give_back(void* block);  // false where the block was not taken here

  // What blocks in use and kept ones take beyond `most` bytes once in use, at most.
  static size_t spare(size_t most);

  size_t in_use() const;  // bytes of the blocks taken
  size_t kept() const;    // of those given back and still mapped

 private:
  struct Kept {
    void* block;
    size_t bytes;
  };
  void* reuse(size_t bytes);
  void* hand_out(void* block, size_t bytes);
  void make_room(size_t bytes);
  void drop_oldest();

  mutable std::mutex mutex_;
  std::unordered_map<void*, size_t> taken_;       // block to its bytes
  std::map<int64_t, Kept> by_age_;                // age: the time it was given back, negative, so that the latest comes first
  std::set<std::pair<size_t, int64_t>> by_size_;  // bytes, age
  size_t in_use_ = 0, kept_ = 0, most_ = 0;
  int64_t time_ = 0;
};

}  // namespace tessera
