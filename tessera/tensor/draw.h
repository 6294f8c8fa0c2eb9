#pragma once
// Random tensors that depend on a seed and a name alone, not on threads or on what was drawn before (base/random.h).

#include <torch/types.h>

#include <string_view>

namespace tessera::tensor {

// [sizes] float32 on the CPU, from U(-bound, bound) and from N(0, std^2).
torch::Tensor uniform_draw(at::IntArrayRef sizes, double bound, uint64_t seed, std::string_view name);
torch::Tensor normal_draw(at::IntArrayRef sizes, double std, uint64_t seed, std::string_view name);

}  // namespace tessera::tensor
