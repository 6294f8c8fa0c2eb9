#pragma once
// A linear layer that is fast for one or two rows too: writing token by token reads every weight once, and is as fast as memory allows.

#include <torch/torch.h>

namespace tessera::kernels {

// x [..., in], weight [out, in], bias [out] or undefined: x weight^T + bias, [..., out], in x's dtype. One or two rows of float32 or
// bfloat16 on the CPU, without a gradient to be recorded, have a kernel of their own, which sums in float32, the same for every number of
// threads; all else is at::linear.
torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias = {});

}  // namespace tessera::kernels
