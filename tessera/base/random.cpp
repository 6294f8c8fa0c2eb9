#include "tessera/base/random.h"

#include <array>
#include <cmath>
#include <numbers>

namespace tessera {

namespace {

// FNV-1a, then a finaliser (SplitMix64) so that names that differ in one letter share no bits.
uint64_t name_hash(std::string_view name) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}

// One Philox block: 128 bits of counter and 64 of key to 128 bits; we use the first 64.
uint64_t philox(uint64_t low, uint64_t high, uint64_t key) {
  std::array<uint32_t, 4> x = {static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(high),
                               static_cast<uint32_t>(high >> 32)};
  auto k0 = static_cast<uint32_t>(key);
  auto k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * x[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(b), static_cast<uint32_t>(a >> 32) ^ x[3] ^ k1,
         static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return uint64_t{x[1]} << 32 | x[0];
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) : key_(seed), stream_(name_hash(name)) {}

uint64_t RandomStream::bits() { return philox(counter_++, stream_, key_); }

double RandomStream::uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }

double RandomStream::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

uint64_t RandomStream::below(uint64_t n) {
  const uint64_t first_fair = (0 - n) % n;  // 2^64 mod n: smaller draws would favour small results
  uint64_t draw = bits();
  while (draw < first_fair) draw = bits();
  return draw % n;
}

RandomStream RandomStream::at(uint64_t item) const {
  RandomStream sub = *this;
  sub.counter_ = 0;
  sub.stream_ = philox(item, stream_, ~key_);
  return sub;
}

}  // namespace tessera
