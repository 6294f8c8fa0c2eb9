#pragma once
// The feed-forward layer: gated (SwiGLU, GeGLU; Shazeer, arXiv 2002.05202) or plain. D model width, F inner width.

#include "tessera/nn/layer_kinds.h"
#include "tessera/nn/linear.h"

namespace tessera::nn {

struct FfnOptions {
  int64_t width = 0, hidden = 0;  // D, F
  Activation activation = Activation::silu;
  bool gated = true;
  bool bias = false;
};

// Gated: down_proj(act(gate_proj(x)) * up_proj(x)). Plain: down_proj(act(up_proj(x))).
class FfnImpl : public torch::nn::Module {
 public:
  explicit FfnImpl(const FfnOptions& options);
  // x: [..., D] -> [..., D].
  torch::Tensor forward(const torch::Tensor& x);
  // Puts gate and up weights one behind another in memory, so that they run as one product.
  void fuse(Contents contents = Contents::kept);

  Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};  // gate_proj is null when not gated
  FfnOptions options;
};
TORCH_MODULE(Ffn);

// The activation itself, any shape.
torch::Tensor activate(const torch::Tensor& x, Activation activation);

}  // namespace tessera::nn
