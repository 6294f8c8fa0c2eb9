#pragma once
// Rotary positions for training: the turn of rotary.h, whose gradient is the turn back. Nothing of x is kept.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether rotary_train takes x: CPU, float32 or bfloat16, last dimension dense.
bool rotary_train_takes(const torch::Tensor& x);

// x: [B, T, H, e], any strides but the last. cos, sin: [B or 1, T, e/2] dense float32. Returns a dense [B, T, H, e]; differentiable in x.
torch::Tensor rotary_train(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin);

}  // namespace tessera::kernels
