#pragma once
// The selective scan of Mamba (Gu and Dao, arXiv 2312.00752, equations 1a to 2b). B sequences, T tokens, E channels, N states a channel.

#include <torch/torch.h>

namespace tessera::nn {

struct ScanInputs {
  torch::Tensor u;      // [B, T, E] what enters the recurrence
  torch::Tensor dt;     // [B, T, E] step sizes, > 0 (after softplus)
  torch::Tensor a;      // [E, N] negative: states decay by exp(dt * a)
  torch::Tensor b, c;   // [B, T, N] input and output maps of each token
  torch::Tensor d;      // [E] the direct path
  torch::Tensor state;  // [B, E, N] from the tokens before; undefined: zeros
};

struct ScanOutputs {
  torch::Tensor y;      // [B, T, E]
  torch::Tensor state;  // [B, E, N] after the last token; carries no gradient
};

// h[t] = exp(dt[t] a) h[t-1] + dt[t] b[t] u[t];  y[t] = <c[t], h[t]> + d u[t]. All float32. Differentiable in u, dt, a, b, c and d (not in
// `state`): the backward pass runs the recurrence again instead of keeping B*T*E*N numbers. The result does not depend on the number of
// threads. On another device than the CPU it is a loop of torch operations. Throws InputError on disagreeing shapes.
ScanOutputs selective_scan(const ScanInputs& inputs);

// The same by its definition, a loop over tokens in torch operations, in any floating dtype.
ScanOutputs selective_scan_loop(const ScanInputs& inputs);

}  // namespace tessera::nn
