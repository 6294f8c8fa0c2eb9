#pragma once
// What the loop does with gradients between the backward pass and the optimizer: their norm, clipping, and the search for the one that is
// not finite.

#include <torch/torch.h>

#include <optional>
#include <span>

namespace tessera::train {

// The sum of squares of one tensor, in double over float32 partial sums; the same for every number of threads.
double sum_of_squares(const torch::Tensor& gradient);

// sqrt of the sum over all tensors of their sums of squares. Undefined tensors count nothing. Not finite exactly when an entry is not
// finite or overflows float32 when squared.
double global_norm(std::span<const torch::Tensor> gradients);

// Scales all gradients so that their global norm is at most `most`: by most / norm when norm > most, else leaves them. Returns the factor.
double clip(std::span<torch::Tensor> gradients, double norm, double most);

// The index of the first gradient with an entry that is not finite.
std::optional<size_t> first_not_finite(std::span<const torch::Tensor> gradients);

}  // namespace tessera::train
