#pragma once
// A shuffle that needs no memory: row i of an epoch is a function of seed, epoch and i.

#include <array>
#include <cstdint>

namespace tessera::data {

// A permutation of 0..size-1 by a keyed Feistel network over the next power of four, walked until it falls inside (at most 4 steps on
// average). The state is the key: any position is reached at once, any number of threads sees the same order, every epoch has its own.
class Shuffle {
 public:
  Shuffle(uint64_t size, uint64_t seed, uint64_t epoch);

  // The row at position `i`, i < size.
  uint64_t operator()(uint64_t i) const;
  // The position of row `row`: the inverse.
  uint64_t position(uint64_t row) const;
  uint64_t size() const { return size_; }

 private:
  uint64_t forward(uint64_t x) const;
  uint64_t backward(uint64_t x) const;

  uint64_t size_;
  int half_bits_ = 1;  // the network works on 2 * half_bits_ bits
  std::array<uint64_t, 6> keys_{};
};

}  // namespace tessera::data
