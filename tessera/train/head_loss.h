#pragma once
// The loss of a language model's head without its logits: rows go through the product, the loss and its gradient a chunk at a time.

#include <torch/torch.h>

namespace tessera::train {

struct HeadLossOptions {
  int64_t chunk = 0;    // rows of logits that live at once, 1 and up; 0: as many as fit about 16 MB
  double z_loss = 0.0;  // z: a row counts z log(Z)^2 more, Z the sum of its exponentials (PaLM, arXiv 2204.02311, section 5: 1e-4)
};

// Sum over the rows n with targets[n] >= 0 of -log softmax(hidden[n] weight^T)[targets[n]], nats, a float32 scalar; differentiable in
// hidden and weight. hidden: [N, D], weight: [V, D], both float32 or bfloat16 alike; targets: [N] int64, < V; a negative one (prompt,
// padding) counts nothing. The forward pass makes both gradients, so memory is chunk * V logits + N * D + V * D (float32), whatever N.
// Throws InputError on disagreeing shapes or dtypes.
torch::Tensor head_loss(const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets,
                        const HeadLossOptions& options = {});

}  // namespace tessera::train
