#pragma once
// Negative log-likelihood of one class a row without writing probabilities: log(sum_j exp(z_j)) - z_target, in float32.
// As LibTorch operations the same writes the log-probabilities of the whole vocabulary.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether cross_entropy takes them: CPU, dense float32 or bfloat16 logits, and no gradient to be recorded.
bool cross_entropy_takes(const torch::Tensor& logits);

// logits: [N, V]; targets: [N] int64, < V; a negative one gives 0. Returns nats, [N] float32. Reads the logits twice.
torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace tessera::kernels
