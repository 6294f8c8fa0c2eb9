#include "tessera/train/low_rank.h"

#include <cmath>
#include <set>

#include "tessera/tensor/draw.h"
#include "tessera/train/lora.h"

namespace tessera::train {

namespace {

template <class Body>
void for_each_low_rank(torch::nn::Module& model, const Body& body) {
  for (const auto& named : model.named_modules("", false)) {
    if (auto layer = std::dynamic_pointer_cast<nn::LinearImpl>(named.value()); layer && layer->low_rank) body(named.key(), *layer);
  }
}

// Zero but for the `kept` share of largest size.
void prune_moment(const torch::Tensor& moment, double kept) {
  const auto keep = static_cast<int64_t>(kept * static_cast<double>(moment.numel()));
  if (keep < 1 || !moment.is_floating_point()) {
    moment.zero_();
    return;
  }
  const auto size = moment.abs().view({-1});
  const auto least = std::get<0>(size.topk(keep)).min();
  moment.mul_(moment.abs().ge(least));
}

}  // namespace

void make_low_rank(torch::nn::Module& model, const LowRankOptions& options) {
  add_lora(model, {.rank = options.rank, .alpha = static_cast<double>(options.rank), .targets = options.targets, .seed = options.seed});
  torch::NoGradGuard no_grad;
  // Entries of B A are sums of r products: var = r s^4.
  const double each = std::sqrt(options.std / std::sqrt(static_cast<double>(options.rank)));
  for_each_low_rank(model, [&](const std::string& path, nn::LinearImpl& layer) {
    layer.weight.zero_();
    layer.low_rank->a.copy_(tensor::normal_draw(layer.low_rank->a.sizes(), each, options.seed, "low_rank/a/" + path));
    layer.low_rank->b.copy_(tensor::normal_draw(layer.low_rank->b.sizes(), each, options.seed, "low_rank/b/" + path));
  });
}

void restart_lora(torch::nn::Module& model, Optimizer& optimizer, uint64_t seed, double kept) {
  torch::NoGradGuard no_grad;
  std::set<std::string> names;
  for (const auto& parameter : lora_parameters(model)) names.insert(parameter.name);
  for_each_low_rank(model, [&](const std::string& path, nn::LinearImpl& layer) {
    auto& added = *layer.low_rank;
    layer.weight.copy_(torch::addmm(layer.weight.to(torch::kFloat32), added.b, added.a, 1.0, added.scale));
    // PEFT's draw: U(-1/sqrt(in), 1/sqrt(in)).
    added.a.copy_(tensor::uniform_draw(added.a.sizes(), 1.0 / std::sqrt(static_cast<double>(added.a.size(1))), seed, "relora/" + path));
    added.b.zero_();
  });
  for (size_t i = 0; i < optimizer.parameters().size(); ++i) {
    if (!names.contains(optimizer.parameters()[i].name)) continue;
    for (auto& [name, tensor] : optimizer.state(i)) {
      if (name != "step") prune_moment(tensor, kept);
    }
  }
}

}  // namespace tessera::train
