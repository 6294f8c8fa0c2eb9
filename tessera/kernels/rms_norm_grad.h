#pragma once
// Root mean square norm for training: the one-pass forward of rms_norm.h, and a backward that reads x and dy once and keeps nothing but x.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether rms_norm_train takes these: CPU, float32 or bfloat16 (x and weight alike), x dense.
bool rms_norm_train_takes(const torch::Tensor& x, const torch::Tensor& weight);

// x: [..., width], weight: [width]. Returns x / sqrt(mean(x^2) + eps) * (weight + offset), differentiable in both. With r = 1 /
// sqrt(mean(x^2)
// + eps) and g = dy (weight + offset): dx = r g - x r^3 mean(g x), dweight = sum over rows of dy x r (in float32, in an order that does not
// depend on the number of threads). The backward moves 3 * bytes(x).
torch::Tensor rms_norm_train(const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset);

}  // namespace tessera::kernels
