#pragma once
// Named random streams: the same seed and name give the same numbers on every machine, for every number of threads.

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace tessera {

// A counter-based stream (Philox 4x32-10, Salmon et al. 2011): number i of a stream is a pure function of (seed, name, i), so work split
// over threads takes `stream.at(item)` for each item and gets the same numbers however it was split. Not for cryptography.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);

  uint64_t bits();                                       // 64 uniform bits
  double uniform();                                      // [0, 1), 53 bits
  double normal();                                       // mean 0, variance 1 (Box-Muller; one pair of uniforms a number)
  uint64_t below(uint64_t n);                            // [0, n), unbiased; n >= 1
  RandomStream at(uint64_t item) const;                  // the sub-stream of one item, independent of this one's position
  uint64_t position() const { return counter_; }         // how many 64-bit numbers were drawn: what a checkpoint stores
  void seek(uint64_t position) { counter_ = position; }  // continue from a stored position

  template <class T>
  void shuffle(std::span<T> items) {  // Fisher-Yates
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t key_ = 0;
  uint64_t stream_ = 0;
  uint64_t counter_ = 0;
};

}  // namespace tessera
