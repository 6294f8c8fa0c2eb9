#include "tessera/train/optim/adam_rule.h"

#include <cmath>

namespace tessera::train {

kernels::AdamRule rates_of(const AdamOptions& options) { return {.beta1 = options.beta1, .beta2 = options.beta2, .eps = options.eps}; }

AdamFactors adam_factors(const AdamOptions& options, int64_t t, double lr) {
  const double left1 = 1.0 - std::pow(options.beta1, t), left2 = 1.0 - std::pow(options.beta2, t);
  if (options.form == AdamForm::corrected) return {lr / left1, 1.0 / std::sqrt(left2)};
  return {lr * std::sqrt(left2) / left1, 1.0};
}

std::vector<StateSlot> AdamUpdate::layout(const std::vector<int64_t>& shape) const {
  return {{"exp_avg", shape, options_.state_dtype}, {"exp_avg_sq", shape, options_.state_dtype}};
}

RuleStep AdamUpdate::step(const RuleItem& item, bool owned) const {
  const auto factors = adam_factors(options_, item.t, item.lr);
  const auto direction = direction_over(item, owned);
  const kernels::AdamItem job{
      .value = {}, .grad = direction, .exp_avg = item.state[0], .exp_avg_sq = item.state[1], .root_scale = factors.root_scale};
  kernels::adam_step({&job, 1}, rates_of(options_));
  return {direction, factors.step, kept_share(item), options_.form == AdamForm::uncorrected};
}

void AdamUpdate::move(std::span<const RuleItem> items) const {
  std::vector<kernels::AdamItem> jobs;
  jobs.reserve(items.size());
  for (const auto& item : items) {
    const auto factors = adam_factors(options_, item.t, item.lr);
    jobs.push_back({.value = item.value,
                    .grad = item.grad,
                    .exp_avg = item.state[0],
                    .exp_avg_sq = item.state[1],
                    .root_scale = factors.root_scale,
                    .step = factors.step,
                    .keep = kept_share(item),
                    .keep_after = options_.form == AdamForm::uncorrected});
  }
  kernels::adam_step(jobs, rates_of(options_));
}

std::vector<torch::Tensor> AdamUpdate::moments(std::span<torch::Tensor> state) const {
  return {state[0].to(torch::kFloat32), state[1].to(torch::kFloat32)};
}

void AdamUpdate::set_moments(std::span<torch::Tensor> state, const std::vector<torch::Tensor>& moments) const {
  for (size_t i = 0; i < 2; ++i) state[i].copy_(moments[i]);
}

}  // namespace tessera::train
