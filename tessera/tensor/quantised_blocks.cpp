#include "tessera/tensor/quantised_blocks.h"

#include <cstring>

#include "tessera/base/error.h"
#include "tessera/tensor/bytes.h"
#include "tessera/tensor/half.h"

// Each decoder is compiled for AVX2 as well and chosen when the program starts. AVX2 without FMA: fused products would round differently.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define TESSERA_ALSO_FOR_AVX2 __attribute__((target_clones("avx2", "default")))
#else
#define TESSERA_ALSO_FOR_AVX2
#endif

// d: a block's scale, m: its minimum, both half floats; q: its integers. Block layouts as in ggml's ggml-common.h.
namespace tessera::tensor {
namespace {

const uint8_t* as_u8(const std::byte* at) { return reinterpret_cast<const uint8_t*>(at); }
float half_at(const uint8_t* at) {
  uint16_t half = 0;
  std::memcpy(&half, at, sizeof(half));
  return half_to_float(half);
}

TESSERA_ALSO_FOR_AVX2 void decode_q4_0(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 18, to += 32) {
    const float d = half_at(block);
    for (int j = 0; j < 16; ++j) {
      to[j] = static_cast<float>((block[2 + j] & 0xf) - 8) * d;
      to[j + 16] = static_cast<float>((block[2 + j] >> 4) - 8) * d;
    }
  }
}

TESSERA_ALSO_FOR_AVX2 void decode_q4_1(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 20, to += 32) {
    const float d = half_at(block), m = half_at(block + 2);
    for (int j = 0; j < 16; ++j) {
      to[j] = static_cast<float>(block[4 + j] & 0xf) * d + m;
      to[j + 16] = static_cast<float>(block[4 + j] >> 4) * d + m;
    }
  }
}

TESSERA_ALSO_FOR_AVX2 void decode_q5_0(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 22, to += 32) {
    const float d = half_at(block);
    uint32_t high = 0;  // bit j: the fifth bit of element j
    std::memcpy(&high, block + 2, sizeof(high));
    for (int j = 0; j < 16; ++j) {
      to[j] = static_cast<float>(static_cast<int>((block[6 + j] & 0xfU) | (high >> j & 1U) << 4) - 16) * d;
      to[j + 16] = static_cast<float>(static_cast<int>((block[6 + j] >> 4U) | (high >> (j + 16) & 1U) << 4) - 16) * d;
    }
  }
}

TESSERA_ALSO_FOR_AVX2 void decode_q5_1(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 24, to += 32) {
    const float d = half_at(block), m = half_at(block + 2);
    uint32_t high = 0;
    std::memcpy(&high, block + 4, sizeof(high));
    for (int j = 0; j < 16; ++j) {
      to[j] = static_cast<float>(static_cast<int>((block[8 + j] & 0xfU) | (high >> j & 1U) << 4)) * d + m;
      to[j + 16] = static_cast<float>(static_cast<int>((block[8 + j] >> 4U) | (high >> (j + 16) & 1U) << 4)) * d + m;
    }
  }
}

TESSERA_ALSO_FOR_AVX2 void decode_q8_0(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 34, to += 32) {
    const float d = half_at(block);
    for (int j = 0; j < 32; ++j) to[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * d;
  }
}

// 16 groups of 16: 4 bits scale, 4 bits minimum. Each byte of q holds 2 bits of four elements that lie 32 apart.
TESSERA_ALSO_FOR_AVX2 void decode_q2_k(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 84) {
    const float d = half_at(block + 80), m = half_at(block + 82);
    for (int group = 0; group < 16; ++group, to += 16) {
      const uint8_t* q = block + 16 + group / 8 * 32 + group % 2 * 16;
      const int shift = group % 8 / 2 * 2;
      const float scale = d * static_cast<float>(block[group] & 0xf), minimum = m * static_cast<float>(block[group] >> 4);
      for (int j = 0; j < 16; ++j) to[j] = scale * static_cast<float>(q[j] >> shift & 3) - minimum;
    }
  }
}

// As Q2_K, with a third bit in a mask and signed 6-bit scales: 4 bits of each in the first 8 bytes, 2 in the last 4.
TESSERA_ALSO_FOR_AVX2 void decode_q3_k(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 110) {
    const float d = half_at(block + 108);
    const uint8_t* scales = block + 96;
    for (int group = 0; group < 16; ++group, to += 16) {
      const uint8_t* q = block + 32 + group / 8 * 32 + group % 2 * 16;
      const uint8_t* mask = block + group % 2 * 16;
      const int shift = group % 8 / 2 * 2, bit = group / 2;
      const int low = group < 8 ? scales[group] & 0xf : scales[group - 8] >> 4;
      const int high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
      const float scale = d * static_cast<float>((low | high << 4) - 32);
      for (int j = 0; j < 16; ++j) to[j] = scale * static_cast<float>((q[j] >> shift & 3) + (mask[j] >> bit & 1) * 4 - 4);
    }
  }
}

struct ScaleAndMinimum {
  float scale, minimum;
};
// Q4_K and Q5_K: eight 6-bit scales and minima in 12 bytes.
ScaleAndMinimum packed_scale(const uint8_t* packed, int group, float d, float m) {
  int scale = packed[group] & 63, minimum = packed[group + 4] & 63;
  if (group >= 4) {
    scale = (packed[group + 4] & 0xf) | packed[group - 4] >> 6 << 4;
    minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
  }
  return {d * static_cast<float>(scale), m * static_cast<float>(minimum)};
}

TESSERA_ALSO_FOR_AVX2 void decode_q4_k(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 144) {
    const float d = half_at(block), m = half_at(block + 2);
    for (int group = 0; group < 8; ++group, to += 32) {
      const auto [scale, minimum] = packed_scale(block + 4, group, d, m);
      const uint8_t* q = block + 16 + group / 2 * 32;
      const int shift = group % 2 * 4;
      for (int j = 0; j < 32; ++j) to[j] = scale * static_cast<float>(q[j] >> shift & 0xf) - minimum;
    }
  }
}

TESSERA_ALSO_FOR_AVX2 void decode_q5_k(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 176) {
    const float d = half_at(block), m = half_at(block + 2);
    for (int group = 0; group < 8; ++group, to += 32) {
      const auto [scale, minimum] = packed_scale(block + 4, group, d, m);
      const uint8_t *high = block + 16, *q = block + 48 + group / 2 * 32;
      const int shift = group % 2 * 4;
      for (int j = 0; j < 32; ++j) to[j] = scale * static_cast<float>((q[j] >> shift & 0xf) | (high[j] >> group & 1) << 4) - minimum;
    }
  }
}

// Signed 8-bit scales for 16 groups of 16; 4 low bits and 2 high bits of each element apart.
TESSERA_ALSO_FOR_AVX2 void decode_q6_k(const uint8_t* block, float* to, int64_t blocks) {
  for (; blocks > 0; --blocks, block += 210) {
    const float d = half_at(block + 208);
    for (int group = 0; group < 16; ++group, to += 16) {
      const int part = group % 8 / 2;  // of four runs of 32 elements in a half of the block
      const uint8_t* low = block + group / 8 * 64 + part % 2 * 32 + group % 2 * 16;
      const uint8_t* high = block + 128 + group / 8 * 32 + group % 2 * 16;
      const int low_shift = part / 2 * 4, high_shift = part * 2;
      const float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + group]));
      for (int j = 0; j < 16; ++j) {
        to[j] = scale * static_cast<float>(((low[j] >> low_shift & 0xf) | (high[j] >> high_shift & 3) << 4) - 32);
      }
    }
  }
}

}  // namespace

void decode_to_float(Dtype dtype, const std::byte* from, float* to, int64_t count) {
  if (count == 0) return;  // pointers may be null then
  const int64_t blocks = count / traits(dtype).block;
  const uint8_t* block = as_u8(from);
  switch (dtype) {
    case Dtype::f32:
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case Dtype::f16:
      for (int64_t i = 0; i < count; ++i) to[i] = half_to_float(read_number<uint16_t>(from + 2 * i));
      return;
    case Dtype::bf16:
      for (int64_t i = 0; i < count; ++i) to[i] = bfloat16_to_float(read_number<uint16_t>(from + 2 * i));
      return;
    case Dtype::f64:
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(read_number<double>(from + 8 * i));
      return;
    case Dtype::q4_0:
      return decode_q4_0(block, to, blocks);
    case Dtype::q4_1:
      return decode_q4_1(block, to, blocks);
    case Dtype::q5_0:
      return decode_q5_0(block, to, blocks);
    case Dtype::q5_1:
      return decode_q5_1(block, to, blocks);
    case Dtype::q8_0:
      return decode_q8_0(block, to, blocks);
    case Dtype::q2_k:
      return decode_q2_k(block, to, blocks);
    case Dtype::q3_k:
      return decode_q3_k(block, to, blocks);
    case Dtype::q4_k:
      return decode_q4_k(block, to, blocks);
    case Dtype::q5_k:
      return decode_q5_k(block, to, blocks);
    case Dtype::q6_k:
      return decode_q6_k(block, to, blocks);
    default:
      throw InputError("{} holds no real numbers to decode; use a floating or quantised type", name(dtype));
  }
}

}  // namespace tessera::tensor
