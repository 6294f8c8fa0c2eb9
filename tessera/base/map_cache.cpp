#include "tessera/base/map_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

namespace tessera {

namespace {

constexpr size_t kSlack = size_t{20} << 20;  // with 1/64 alone, a small model trains a tenth slower: its pages go back and forth

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

MapCache::~MapCache() {
  while (!by_age_.empty()) drop_oldest();
}

void* MapCache::take(size_t bytes) {
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  const size_t size = (std::max<size_t>(bytes, 1) + page_bytes() - 1) / page_bytes() * page_bytes();
  const std::lock_guard lock(mutex_);
  if (void* block = reuse(size)) return block;
  make_room(size);
  void* block = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) throw std::bad_alloc();
  return hand_out(block, size);
}

void* MapCache::hand_out(void* block, size_t bytes) {
  taken_.emplace(block, bytes);
  in_use_ += bytes;
  most_ = std::max(most_, in_use_);
  return block;
}

// The smallest kept block that holds `bytes` and wastes no more than an eighth, of equal ones the latest: the caches may still hold it.
void* MapCache::reuse(size_t bytes) {
  const auto found = by_size_.lower_bound({bytes, INT64_MIN});
  if (found == by_size_.end() || found->first - bytes > bytes / 8) return nullptr;
  const auto kept = by_age_.find(found->second);
  const auto [block, size] = kept->second;
  by_size_.erase(found);
  by_age_.erase(kept);
  kept_ -= size;
  return hand_out(block, size);
}

void MapCache::make_room(size_t bytes) {
  const size_t most = std::max(most_, in_use_ + bytes);
  while (!by_age_.empty() && in_use_ + kept_ + bytes > most + spare(most)) drop_oldest();
}

size_t MapCache::spare(size_t most) { return std::max(kSlack, most / 64); }

void MapCache::drop_oldest() {
  const auto oldest = std::prev(by_age_.end());
  const auto [block, size] = oldest->second;
  by_size_.erase({size, oldest->first});
  by_age_.erase(oldest);
  kept_ -= size;
  ::munmap(block, size);
}

bool MapCache::give_back(void* block) {
  if (reinterpret_cast<uintptr_t>(block) % page_bytes() != 0) return false;  // most of what is not ours
  const std::lock_guard lock(mutex_);
  const auto found = taken_.find(block);
  if (found == taken_.end()) return false;
  const size_t size = found->second;
  taken_.erase(found);
  in_use_ -= size;
  kept_ += size;
  by_age_.emplace(--time_, Kept{block, size});
  by_size_.emplace(size, time_);
  return true;
}

size_t MapCache::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

size_t MapCache::kept() const {
  const std::lock_guard lock(mutex_);
  return kept_;
}

}  // namespace tessera
