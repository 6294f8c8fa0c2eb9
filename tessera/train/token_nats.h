#pragma once
// What each token costs a language model, differentiable and without its logits: losses of whole answers (DPO) weigh tokens by what their
// sequence needs, which is known only after the forward pass.

#include <torch/torch.h>

namespace tessera::train {

// -log softmax(hidden[n] weight^T)[targets[n]], nats, [N] float32; 0 where a target is negative. hidden: [N, D], weight: [V, D], both
// float32 or bfloat16 alike; targets: [N] int64, < V. Differentiable in hidden and weight: the backward pass makes the logits again,
// `chunk` rows at a time (0: about 16 MB of them), so that never more than chunk * V of them live. Where the weight of every token is known
// beforehand, head_loss.h does without the second product. Throws InputError on disagreeing shapes or dtypes.
torch::Tensor token_nats(const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets, int64_t chunk = 0);

}  // namespace tessera::train
