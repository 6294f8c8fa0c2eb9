#include "tessera/nn/norm.h"

#include "tessera/base/error.h"
#include "tessera/kernels/rms_norm.h"
#include "tessera/kernels/rms_norm_grad.h"

namespace tessera::nn {

NormImpl::NormImpl(const NormOptions& options) : options(options) {
  weight = register_parameter("weight", torch::full({options.width}, 1.0 - options.offset));
  if (options.kind == NormKind::layer) bias = register_parameter("bias", torch::zeros({options.width}));
}

torch::Tensor NormImpl::forward(const torch::Tensor& x) {
  if (x.size(-1) != options.width)
    throw InputError("a norm takes {} values, given {}; check the width of what runs into it", options.width, x.size(-1));
  if (options.kind == NormKind::layer) return at::layer_norm(x, {options.width}, weight, bias, options.eps);
  if (kernels::rms_norm_takes(x, weight)) return kernels::rms_norm(x, weight, options.eps, options.offset);
  if (torch::GradMode::is_enabled() && kernels::rms_norm_train_takes(x, weight))
    return kernels::rms_norm_train(x, weight, options.eps, options.offset);
  const auto wide = x.to(torch::kFloat32);
  const auto scaled = wide * torch::rsqrt(wide.square().mean(-1, true) + options.eps);
  return (scaled * (weight.to(torch::kFloat32) + options.offset)).to(x.dtype());
}

std::pair<torch::Tensor, torch::Tensor> NormImpl::add_then_norm(torch::Tensor stream, const torch::Tensor& branch) {
  if (torch::GradMode::is_enabled()) {
    stream = stream + branch;
  } else if (options.kind == NormKind::rms && kernels::rms_norm_takes(stream, weight) && stream.is_contiguous() && branch.is_contiguous()) {
    return {stream, kernels::add_rms_norm(stream, branch, weight, options.eps, options.offset)};
  } else {
    stream.add_(branch);
  }
  auto normed = forward(stream);
  return {std::move(stream), std::move(normed)};
}

}  // namespace tessera::nn
