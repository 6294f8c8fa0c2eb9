#pragma once
// Rotary positions in one pass: for i < e/2, (x[i], x[i + e/2]) is turned by the angle whose cosine and sine the table gives.
// As LibTorch operations the same takes six passes and a concatenation.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether rotary takes x: CPU, float32 or bfloat16, last dimension dense, and no gradient to be recorded.
bool rotary_takes(const torch::Tensor& x);

// x: [B, T, H, e] as above, any other strides. cos, sin: [B or 1, T, e/2] dense float32. Returns a dense [B, T, H, e]. Moves 2 * bytes(x).
torch::Tensor rotary(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin);

// The same into y, of x's sizes and dtype, which may be x itself.
void rotary_into(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin, const torch::Tensor& y);

}  // namespace tessera::kernels
