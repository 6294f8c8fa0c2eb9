#include <algorithm>
#include <cmath>
#include <cstring>

#include "tessera/base/error.h"
#include "tessera/tensor/half.h"
#include "tessera/tensor/quantised_blocks.h"

// Rounding as ggml's quantize_row_*_ref, that of Q4_0 with the fused product its usual builds use.
namespace tessera::tensor {
namespace {

constexpr int quantised_block = 32;

void store_half(float value, std::byte* to) {
  const uint16_t half = float_to_half(value);
  std::memcpy(to, &half, sizeof(half));
}

// 1 / d, and 0 where that is no number: d is then 0 as a half float too.
float inverse(float d) {
  const float one_over = 1.0F / d;
  return std::isfinite(one_over) ? one_over : 0.0F;
}

void check_finite(const float* from) {
  const bool finite = std::all_of(from, from + quantised_block, [](float x) { return std::isfinite(x); });
  if (!finite) throw InputError("weights with NaN or infinity cannot be quantised; check the model or write it as F32");
}

void store_nibbles(const int* q, std::byte* to) {
  for (int j = 0; j < 16; ++j) to[j] = static_cast<std::byte>(q[j] | q[j + 16] << 4);
}

void encode_q8_0_block(const float* from, std::byte* to) {
  float largest = 0.0F;
  for (int j = 0; j < quantised_block; ++j) largest = std::max(largest, std::abs(from[j]));
  const float d = largest / 127.0F, scale = inverse(d);
  store_half(d, to);
  for (int j = 0; j < quantised_block; ++j) to[2 + j] = static_cast<std::byte>(static_cast<int8_t>(std::round(from[j] * scale)));
}

void encode_q4_0_block(const float* from, std::byte* to) {
  const float extreme = *std::max_element(from, from + quantised_block, [](float a, float b) { return std::abs(a) < std::abs(b); });
  const float d = extreme / -8.0F, scale = inverse(d);
  int q[quantised_block];
  for (int j = 0; j < quantised_block; ++j) {
    const auto fused = static_cast<float>(static_cast<double>(from[j]) * static_cast<double>(scale) + 8.5);
    q[j] = std::clamp(static_cast<int>(fused), 0, 15);
  }
  store_half(d, to);
  store_nibbles(q, to + 2);
}

void encode_q4_1_block(const float* from, std::byte* to) {
  const auto [low, high] = std::minmax_element(from, from + quantised_block);
  const float minimum = *low, d = (*high - minimum) / 15.0F, scale = inverse(d);
  int q[quantised_block];
  for (int j = 0; j < quantised_block; ++j) {
    const float scaled = (from[j] - minimum) * scale + 0.5F;
    q[j] = static_cast<int>(scaled > 0.0F ? std::min(scaled, 15.0F) : 0.0F);  // a range beyond float's gives NaN: 0
  }
  store_half(d, to);
  store_half(minimum, to + 2);
  store_nibbles(q, to + 4);
}

template <class EncodeBlock>
void encode_blocks(Dtype dtype, const float* from, std::byte* to, int64_t count, EncodeBlock encode_block) {
  for (int64_t i = 0; i < count; i += quantised_block, from += quantised_block, to += traits(dtype).block_bytes) {
    check_finite(from);
    encode_block(from, to);
  }
}

}  // namespace

void encode_from_float(Dtype dtype, const float* from, std::byte* to, int64_t count) {
  if (count == 0) return;
  const auto store = [&](int64_t i, uint16_t half) { std::memcpy(to + 2 * i, &half, sizeof(half)); };
  switch (dtype) {
    case Dtype::f32:
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case Dtype::f16:
      for (int64_t i = 0; i < count; ++i) store(i, float_to_half(from[i]));
      return;
    case Dtype::bf16:
      for (int64_t i = 0; i < count; ++i) store(i, float_to_bfloat16(from[i]));
      return;
    case Dtype::q8_0:
      return encode_blocks(dtype, from, to, count, encode_q8_0_block);
    case Dtype::q4_0:
      return encode_blocks(dtype, from, to, count, encode_q4_0_block);
    case Dtype::q4_1:
      return encode_blocks(dtype, from, to, count, encode_q4_1_block);
    default:
      throw InputError("{} is not written; use F32, F16, BF16, Q8_0, Q4_0 or Q4_1", name(dtype));
  }
}

}  // namespace tessera::tensor
