#include "tessera/train/optim/adam8bit_rule.h"

#include "tessera/kernels/adam8bit.h"

namespace tessera::train {

Adam8bitUpdate::Adam8bitUpdate(const AdamOptions& options) : options_(options), small_(options) {}

std::vector<StateSlot> Adam8bitUpdate::layout(const std::vector<int64_t>& shape) const {
  const int64_t n = c10::multiply_integers(shape);
  if (n < least_elements) return small_.layout(shape);
  return {{"exp_avg", shape, torch::kUInt8},
          {"exp_avg_sq", shape, torch::kUInt8},
          {"exp_avg_absmax", {kernels::blocks8(n)}},
          {"exp_avg_sq_absmax", {kernels::blocks8(n)}}};
}

static kernels::Adam8Item adam8_item(const RuleItem& item, const torch::Tensor& value, const torch::Tensor& grad,
                                     const AdamFactors& factors) {
  return {.value = value,
          .grad = grad,
          .m_codes = item.state[0],
          .v_codes = item.state[1],
          .m_maxima = item.state[2],
          .v_maxima = item.state[3],
          .root_scale = factors.root_scale,
          .step = factors.step,
          .keep = kept_share(item)};
}

RuleStep Adam8bitUpdate::step(const RuleItem& item, bool owned) const {
  if (item.grad.numel() < least_elements) return small_.step(item, owned);
  const auto factors = adam_factors(options_, item.t, item.lr);
  const auto direction = direction_over(item, owned);
  const auto job = adam8_item(item, {}, direction, factors);
  kernels::adam8_step({&job, 1}, rates_of(options_));
  return {direction, factors.step, kept_share(item), true};
}

void Adam8bitUpdate::move(std::span<const RuleItem> items) const {
  std::vector<RuleItem> small;
  std::vector<kernels::Adam8Item> jobs;
  for (const auto& item : items) {
    if (item.grad.numel() < least_elements) {
      small.push_back(item);
    } else {
      jobs.push_back(adam8_item(item, item.value, item.grad, adam_factors(options_, item.t, item.lr)));
    }
  }
  small_.move(small);
  kernels::adam8_step(jobs, rates_of(options_));
}

std::vector<torch::Tensor> Adam8bitUpdate::moments(std::span<torch::Tensor> state) const {
  if (state[0].scalar_type() != torch::kUInt8) return small_.moments(state);
  return {kernels::decode8(state[0], state[2], true).view(state[0].sizes()),
          kernels::decode8(state[1], state[3], false).view(state[1].sizes())};
}

void Adam8bitUpdate::set_moments(std::span<torch::Tensor> state, const std::vector<torch::Tensor>& moments) const {
  if (state[0].scalar_type() != torch::kUInt8) return small_.set_moments(state, moments);
  for (size_t i = 0; i < 2; ++i) kernels::encode8(moments[i].contiguous(), i == 0, state[i], state[i + 2]);
}

}  // namespace tessera::train
