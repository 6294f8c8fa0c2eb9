#pragma once
// The 16-bit floats, to and from float32, rounding to the nearest, ties to even.

#include <bit>
#include <cstdint>

namespace tessera::tensor {

inline float half_to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000U) << 16, rest = half & 0x7fffU;
  if (rest >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | (rest & 0x3ffU) << 13);  // infinity, NaN
  const float magnitude = rest < 0x400U ? static_cast<float>(rest) * 0x1p-24F : std::bit_cast<float>((rest << 13) + 0x38000000U);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

inline uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000U, rest = bits & 0x7fffffffU;
  uint32_t half = 0;
  if (rest > 0x7f800000U) {
    half = 0x7e00U | (rest >> 13 & 0x3ffU);  // NaN, made quiet
  } else if (rest >= 0x47800000U) {
    half = 0x7c00U;  // 2^16 and more
  } else if (rest < 0x38800000U) {
    // Below 2^-14 halves are multiples of 2^-24, the spacing of floats at 0.5: the addition rounds.
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5F) - 0x3f000000U;
  } else {
    half = (rest - 0x38000000U + 0xfffU + (rest >> 13 & 1U)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

inline float bfloat16_to_float(uint16_t value) { return std::bit_cast<float>(uint32_t{value} << 16); }

inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>(bits >> 16 | 64U);  // NaN, made quiet
  return static_cast<uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

}  // namespace tessera::tensor
