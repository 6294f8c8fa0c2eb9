#pragma once
// Normalisation over the last dimension, computed in float32 whatever the dtype of x.

#include <torch/torch.h>

#include "tessera/nn/layer_kinds.h"

namespace tessera::nn {

struct NormOptions {
  NormKind kind = NormKind::rms;
  int64_t width = 0;
  double eps = 1e-5;
  double offset = 0.0;  // added to the gain: 1 for Gemma's (1 + w) norms
};

// RMSNorm (Zhang and Sennrich, arXiv 1910.07467): x / sqrt(mean(x^2) + eps) * (weight + offset); or LayerNorm: with the mean taken off and
// a bias added. Members: `weight` [width], and `bias` [width] for LayerNorm.
class NormImpl : public torch::nn::Module {
 public:
  explicit NormImpl(const NormOptions& options);
  // x: [..., width] -> the same shape and dtype.
  torch::Tensor forward(const torch::Tensor& x);
  // stream += branch, then the norm of the new stream: {stream, normed}. May change `stream` in place when no gradient is recorded, so the
  // caller must own it.
  std::pair<torch::Tensor, torch::Tensor> add_then_norm(torch::Tensor stream, const torch::Tensor& branch);

  torch::Tensor weight, bias;
  NormOptions options;
};
TORCH_MODULE(Norm);

}  // namespace tessera::nn
