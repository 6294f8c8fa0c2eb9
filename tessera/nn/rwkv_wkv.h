#pragma once
// The attention of RWKV-4 (Peng et al., arXiv 2305.13048, equations 19 to 24): a weighted mean of all values so far, whose weights fade by
// a channel's own rate. B sequences, T tokens, A channels.

#include <torch/torch.h>

namespace tessera::nn {

// What a sequence hands to its next token: the sums over its values and weights, both divided by exp(`exponent`) so that they stay small.
struct WkvState {
  torch::Tensor numerator, denominator, exponent;  // [B, A] float32 each; undefined before the first token
};

struct WkvInputs {
  torch::Tensor key, value;    // [B, T, A]
  torch::Tensor decay, first;  // [A]: w < 0, added to every older key's exponent a token; u, added to the current key instead
  WkvState state = {};
};

struct WkvOutputs {
  torch::Tensor y;  // [B, T, A]
  WkvState state;   // after the last token; carries no gradient
};

// y[t] = (sum_{i<t} exp(k[i] + (t-1-i) w) v[i] + exp(k[t] + u) v[t]) / (the same sum without v). All float32. Where a gradient is recorded
// or the tensors lie on another device than the CPU it is wkv_loop. The result does not depend on the number of threads. Throws InputError
// on disagreeing shapes, naming the operand.
WkvOutputs wkv(const WkvInputs& inputs);

// The same by its definition, a loop over tokens in torch operations, in any floating dtype.
WkvOutputs wkv_loop(const WkvInputs& inputs);

}  // namespace tessera::nn
