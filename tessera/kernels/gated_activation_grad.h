#pragma once
// The middle of a gated feed-forward layer for training: the forward of gated_activation.h, and a backward in one pass that keeps the two
// products alone.

#include "tessera/kernels/gated_activation.h"

namespace tessera::kernels {

// Whether gated_activation_train takes it: CPU, dense float32 or bfloat16 with an even last dimension.
bool gated_activation_train_takes(const torch::Tensor& gate_and_up);

// gate_and_up: [..., 2 F], the gate first. Returns silu(gate) * up [..., F]; differentiable. With s = sigmoid(g): dup = dy g s,
// dgate = dy up (s + g s (1 - s)). The backward moves 2.5 * bytes(gate_and_up).
torch::Tensor gated_silu_train(const torch::Tensor& gate_and_up);

}  // namespace tessera::kernels
