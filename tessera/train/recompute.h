#pragma once
// Activation checkpointing (Chen et al., arXiv 1604.06174): a part of the model keeps its input alone and runs again in the backward pass.

#include <torch/torch.h>

#include <functional>

namespace tessera::train {

// part(x), with the same values and gradients, bit for bit; nothing between x and the result is kept for the backward pass. `part` must
// be a pure function of x and of leaf parameters (no random numbers, no cache), and what it captures must live until the backward pass.
// Parameters receive their gradients inside the backward pass, so hooks on them run as usual. x must require a gradient, else the result
// would have none: then `part` simply runs.
torch::Tensor recomputed(const std::function<torch::Tensor(const torch::Tensor&)>& part, const torch::Tensor& x);

}  // namespace tessera::train
