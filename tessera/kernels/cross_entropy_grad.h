#pragma once
// Negative log-likelihood of one class a row together with its gradient, written over the logits: what training needs of a head's logits,
// in one visit while they are in the cache.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether cross_entropy_grad_ takes them: CPU, dense float32 or bfloat16 [N, V], and no gradient to be recorded.
bool cross_entropy_grad_takes(const torch::Tensor& logits);

// logits: [N, V], replaced by softmax(logits) - one_hot(target), the gradient of each row's loss; rows whose target is negative become 0.
// targets: [N] int64, < V. Returns nats, [N] float32, 0 for negative targets. Sums in float32. Reads the logits three times at most.
torch::Tensor cross_entropy_grad_(torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace tessera::kernels
