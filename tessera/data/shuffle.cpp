#include "tessera/data/shuffle.h"

#include <bit>

#include "tessera/base/error.h"
#include "tessera/base/random.h"

namespace tessera::data {
namespace {

// A round's function: any will do for a permutation; this one's bits all depend on all (the finaliser of splitmix64).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

}  // namespace

Shuffle::Shuffle(uint64_t size, uint64_t seed, uint64_t epoch) : size_(size) {
  if (size > uint64_t{1} << 62) throw InputError("{} rows are too many to shuffle; the most are 2^62", size);
  half_bits_ = size < 2 ? 1 : (std::bit_width(size - 1) + 1) / 2;
  RandomStream keys = RandomStream(seed, "shuffle").at(epoch);
  for (uint64_t& key : keys_) key = keys.bits();
}

uint64_t Shuffle::forward(uint64_t x) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = x >> half_bits_, right = x & mask;
  for (const uint64_t key : keys_) {
    const uint64_t next = left ^ (mix(right ^ key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

uint64_t Shuffle::backward(uint64_t x) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = x >> half_bits_, right = x & mask;
  for (size_t i = keys_.size(); i-- > 0;) {
    const uint64_t before = right ^ (mix(left ^ keys_[i]) & mask);
    right = left;
    left = before;
  }
  return left << half_bits_ | right;
}

uint64_t Shuffle::operator()(uint64_t i) const {
  if (i >= size_) throw InputError("position {} of a shuffle of {} rows; give one below {}", i, size_, size_);
  do i = forward(i);
  while (i >= size_);  // a permutation's walk from inside comes back inside
  return i;
}

uint64_t Shuffle::position(uint64_t row) const {
  if (row >= size_) throw InputError("row {} of a shuffle of {} rows; give one below {}", row, size_, size_);
  do row = backward(row);
  while (row >= size_);
  return row;
}

}  // namespace tessera::data
