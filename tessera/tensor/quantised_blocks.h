#pragma once
// GGUF's quantised blocks and the 16-bit floats, to and from float32, bit for bit as ggml's reference code rounds.

#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

// Decodes `count` elements, a multiple of the type's block, from `from` (any alignment) to `to`. Types: F32 F16 BF16 F64 and every
// quantised one; InputError for others. One thread; callers split long tensors into ranges of whole blocks.
void decode_to_float(Dtype dtype, const std::byte* from, float* to, int64_t count);

// Encodes `count` floats, a multiple of the block. Types: F32 F16 BF16 (round to nearest, even) Q8_0 Q4_0 Q4_1; InputError for others.
void encode_from_float(Dtype dtype, const float* from, std::byte* to, int64_t count);

}  // namespace tessera::tensor
