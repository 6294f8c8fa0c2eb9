#pragma once
// Sixteen channels of a recurrence at a time, for the scans over tokens (nn/mamba_scan.cpp, nn/rwkv_wkv.cpp). The compiler makes one copy
// of a function marked TESSERA_SCAN_CLONES for each instruction set and the loader picks (x86 only).

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define TESSERA_SCAN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TESSERA_SCAN_CLONES
#endif

namespace tessera::nn {

constexpr int64_t kScanLanes = 16;
using ScanLanes [[gnu::vector_size(64)]] = float;
using ScanInts [[gnu::vector_size(64)]] = int32_t;

// exp for |x| <= 87, relative error below 3e-7: 2^n times a polynomial of degree 7 (Cephes' expf).
[[gnu::always_inline]] inline void exp_lanes(const ScanLanes& given, ScanLanes& out) {
  ScanLanes x = given < -87.0F ? ScanLanes{} - 87.0F : given;
  x = x > 87.0F ? ScanLanes{} + 87.0F : x;
  const ScanLanes scaled = x * 1.44269504F;
  const ScanInts n = __builtin_convertvector(scaled + (x < 0.0F ? ScanLanes{} - 0.5F : ScanLanes{} + 0.5F), ScanInts);
  const ScanLanes whole = __builtin_convertvector(n, ScanLanes);
  x = x - whole * 0.693359375F + whole * 2.12194440e-4F;
  ScanLanes p = ScanLanes{} + 1.9875691500e-4F;
  p = p * x + 1.3981999507e-3F;
  p = p * x + 8.3334519073e-3F;
  p = p * x + 4.1665795894e-2F;
  p = p * x + 1.6666665459e-1F;
  p = p * x + 5.0000001201e-1F;
  p = p * x * x + x + 1.0F;
  const ScanInts power = (n + 127) << 23;
  ScanLanes two;
  std::memcpy(&two, &power, sizeof two);
  out = p * two;
}

// `count` floats, 1 to 16, the rest zeros.
[[gnu::always_inline]] inline void load_lanes(const float* from, int64_t count, ScanLanes& out) {
  out = ScanLanes{};
  std::memcpy(&out, from, static_cast<size_t>(count) * sizeof(float));
}

[[gnu::always_inline]] inline void store_lanes(float* to, int64_t count, const ScanLanes& x) {
  std::memcpy(to, &x, static_cast<size_t>(count) * sizeof(float));
}

}  // namespace tessera::nn
