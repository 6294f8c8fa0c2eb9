#pragma once
// The middle of a gated feed-forward layer in one pass: act(gate) * up, both read from the one product that made them.
// As LibTorch operations the same takes two passes and a temporary, over halves that are not dense.

#include <torch/torch.h>

namespace tessera::kernels {

enum class Gate { silu, gelu_tanh };  // g * sigmoid(g); 0.5 g (1 + tanh(sqrt(2/pi) (g + 0.044715 g^3)))

// Whether gated_activation takes it: CPU, dense float32 or bfloat16 with an even last dimension, and no gradient to be recorded.
bool gated_activation_takes(const torch::Tensor& gate_and_up);

// gate_and_up: [..., 2 F], the gate first. Returns [..., F]. Moves 1.5 * bytes(gate_and_up).
torch::Tensor gated_activation(const torch::Tensor& gate_and_up, Gate gate);

}  // namespace tessera::kernels
