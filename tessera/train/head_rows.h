#pragma once
// What the losses over a language model's head share: which arguments they take, and how many rows of logits live at once.

#include <torch/torch.h>

namespace tessera::train {

// Rows of logits for the chunks of a loss called `name`: `given`, or for 0 as many as fit about 16 MB. hidden: [N, D], weight: [V, D], of
// one dtype; targets: [N]. Throws InputError with their shapes when they disagree.
int64_t head_rows(const char* name, const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets, int64_t given);

}  // namespace tessera::train
