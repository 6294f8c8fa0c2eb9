#pragma once
// Rotary position embedding (Su et al., arXiv 2104.09864), in the "rotate halves" order of Hugging Face checkpoints: pair i of a head of
// width e is (x[i], x[i + e/2]). B sequences, T tokens, H heads, e head width (even).

#include <torch/torch.h>

#include "tessera/nn/rope_angles.h"

namespace tessera::nn {

// rope_angles as a tensor: float32 [e/2].
torch::Tensor rope_frequencies(const RopeOptions& options, int64_t head_width);

// Cosine and sine of every position's angles: what all layers of one forward share.
struct RopeTable {
  torch::Tensor cos, sin;  // [B or 1, T, e/2] float32
};

// positions: [B or 1, T] int64; frequencies: [e/2].
RopeTable rope_table(const torch::Tensor& positions, const torch::Tensor& frequencies);

// x: [B, T, H, e], any strides with the last one 1. Returns the turned x; differentiable in x. Throws InputError on disagreeing shapes.
torch::Tensor rotate(const torch::Tensor& x, const RopeTable& table);

}  // namespace tessera::nn
