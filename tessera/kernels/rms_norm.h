#pragma once
// Root mean square norm in one pass over memory: y = x / sqrt(mean(x^2) + eps) * (weight + offset), sums in float32.
// As LibTorch operations the same takes six passes and five temporaries.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether rms_norm takes these: CPU, float32 or bfloat16 (x and weight alike), the last dimension dense, rows at regular distances, and no
// gradient to be recorded.
bool rms_norm_takes(const torch::Tensor& x, const torch::Tensor& weight);

// x: [..., width] as above; weight: [width]. Returns a dense tensor of x's shape. Moves 2 * bytes(x).
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset);

// stream += branch in place, and the norm of the new stream. Both dense, of one shape and dtype. Moves 4 * bytes(stream).
torch::Tensor add_rms_norm(const torch::Tensor& stream, const torch::Tensor& branch, const torch::Tensor& weight, double eps,
                           double offset);

}  // namespace tessera::kernels
