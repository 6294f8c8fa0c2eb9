#include "tessera/nn/linear.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/kernels/linear.h"
#include "tessera/nn/joint_linear.h"
#include "tessera/tensor/quantised.h"

namespace tessera::nn {

LinearImpl::LinearImpl(int64_t in, int64_t out, bool with_bias) {
  weight = register_parameter("weight", tensor::unfilled({out, in}, torch::kFloat32));
  if (with_bias) bias = register_parameter("bias", torch::empty({out}));
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x) {
  if (x.size(-1) != weight.size(1)) {
    throw InputError("a linear layer takes {} values, given {}; check the width of what runs into it", weight.size(1), x.size(-1));
  }
  auto y = product ? product(x, weight) : kernels::linear(x, weight, bias);
  if (product && bias.defined()) y = y + bias;
  if (!low_rank || !low_rank->on) return y;
  const auto inner = at::linear(x, low_rank->a.to(x.scalar_type()));  // [..., r]
  return at::add(y, at::linear(inner, low_rank->b.to(x.scalar_type())), low_rank->scale);
}

namespace {

// Where the first row after `t` would lie.
const char* linear_end(const torch::Tensor& t) { return static_cast<const char*>(t.const_data_ptr()) + t.nbytes(); }

// The tensors as one, when each begins where the one before it ends in the same memory; else undefined.
torch::Tensor linear_joined(const std::vector<torch::Tensor>& parts) {
  int64_t rows = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& part = parts[i];
    if (!part.is_contiguous()) return {};
    if (i > 0 && (!part.is_alias_of(parts[0]) || part.dtype() != parts[0].dtype() || part.const_data_ptr() != linear_end(parts[i - 1])))
      return {};
    rows += part.size(0);
  }
  auto sizes = parts[0].sizes().vec();
  sizes[0] = rows;
  return parts[0].as_strided(sizes, parts[0].strides());
}

void linear_lay(const std::vector<torch::Tensor*>& parts, Contents contents) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> now;
  now.reserve(parts.size());
  for (const auto* part : parts) now.push_back(*part);
  if (linear_joined(now).defined()) return;
  int64_t rows = 0;
  for (const auto* part : parts) rows += part->size(0);
  auto sizes = parts[0]->sizes().vec();
  sizes[0] = rows;
  const auto block = tensor::unfilled(sizes, parts[0]->options().requires_grad(false));
  int64_t row = 0;
  for (auto* part : parts) {
    auto place = block.narrow(0, row, part->size(0));
    row += part->size(0);
    if (contents == Contents::kept) place.copy_(*part);
    part->set_data(place);
  }
}

}  // namespace

void lay_together(std::initializer_list<Linear> layers, Contents contents) {
  std::vector<torch::Tensor*> weights, biases;
  for (auto layer : layers) {
    weights.push_back(&layer->weight);
    if (layer->bias.defined()) biases.push_back(&layer->bias);
  }
  linear_lay(weights, contents);
  if (biases.size() == weights.size()) linear_lay(biases, contents);
}

torch::Tensor run_together(std::initializer_list<Linear> layers, const torch::Tensor& x) {
  const bool plain =
      std::none_of(layers.begin(), layers.end(), [](Linear layer) { return layer->product || (layer->low_rank && layer->low_rank->on); });
  if (plain) {
    std::vector<torch::Tensor> weights, biases;
    for (auto layer : layers) {
      weights.push_back(layer->weight);
      if (layer->bias.defined()) biases.push_back(layer->bias);
    }
    const auto weight = linear_joined(weights);
    const auto bias = biases.size() == weights.size() ? linear_joined(biases) : torch::Tensor();
    if (weight.defined() && torch::GradMode::is_enabled()) {
      if (biases.empty() && weights.size() <= 3) return joint_linear(x, weight, weights);
    } else if (weight.defined() && (biases.empty() || bias.defined())) {
      return kernels::linear(x, weight, bias);
    }
  }
  std::vector<torch::Tensor> parts;
  for (auto layer : layers) parts.push_back(layer->forward(x));
  return torch::cat(parts, -1);
}

}  // namespace tessera::nn
