#include "tessera/nn/ffn.h"

#include <optional>

#include "tessera/kernels/gated_activation.h"
#include "tessera/kernels/gated_activation_grad.h"

namespace tessera::nn {

torch::Tensor activate(const torch::Tensor& x, Activation activation) {
  if (activation == Activation::silu) return torch::silu(x);
  return torch::gelu(x, activation == Activation::gelu_tanh ? "tanh" : "none");
}

// The gate as one pass, where there is a kernel for it.
static std::optional<kernels::Gate> ffn_gate(Activation activation) {
  if (activation == Activation::silu) return kernels::Gate::silu;
  if (activation == Activation::gelu_tanh) return kernels::Gate::gelu_tanh;
  return std::nullopt;
}

FfnImpl::FfnImpl(const FfnOptions& options) : options(options) {
  if (options.gated) gate_proj = register_module("gate_proj", Linear(options.width, options.hidden, options.bias));
  up_proj = register_module("up_proj", Linear(options.width, options.hidden, options.bias));
  down_proj = register_module("down_proj", Linear(options.hidden, options.width, options.bias));
}

torch::Tensor FfnImpl::forward(const torch::Tensor& x) {
  if (!options.gated) return down_proj(activate(up_proj(x), options.activation));
  if (torch::GradMode::is_enabled() && options.activation != Activation::silu)
    return down_proj(activate(gate_proj(x), options.activation) * up_proj(x));
  const auto both = run_together({gate_proj, up_proj}, x);  // [..., 2 F]
  if (torch::GradMode::is_enabled() && kernels::gated_activation_train_takes(both)) return down_proj(kernels::gated_silu_train(both));
  const auto gate = ffn_gate(options.activation);
  if (gate && kernels::gated_activation_takes(both)) return down_proj(kernels::gated_activation(both, *gate));
  const auto halves = both.chunk(2, -1);
  return down_proj(activate(halves[0], options.activation) * halves[1]);
}

void FfnImpl::fuse(Contents contents) {
  if (gate_proj) lay_together({gate_proj, up_proj}, contents);
}

}  // namespace tessera::nn
