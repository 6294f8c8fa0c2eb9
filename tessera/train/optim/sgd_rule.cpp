#include "tessera/train/optim/sgd_rule.h"

namespace tessera::train {

std::vector<StateSlot> SgdUpdate::layout(const std::vector<int64_t>& shape) const {
  if (momentum_ == 0.0) return {};
  return {{"momentum_buffer", shape}};
}

RuleStep SgdUpdate::step(const RuleItem& item, bool /* owned */) const {
  const auto grad = item.grad.to(torch::kFloat32);
  if (momentum_ == 0.0) return {grad, item.lr, kept_share(item)};
  auto& buffer = item.state[0];
  buffer.mul_(momentum_).add_(grad);
  return {nesterov_ ? grad.add(buffer, momentum_) : buffer, item.lr, kept_share(item)};
}

int64_t SgdUpdate::step_bytes(const std::vector<int64_t>& shape) const {
  return momentum_ != 0.0 && nesterov_ ? 4 * c10::multiply_integers(shape) : 0;
}

std::vector<StateSlot> LionUpdate::layout(const std::vector<int64_t>& shape) const { return {{"exp_avg", shape}}; }

RuleStep LionUpdate::step(const RuleItem& item, bool /* owned */) const {
  const auto grad = item.grad.to(torch::kFloat32);
  auto& average = item.state[0];
  const auto direction = average.lerp(grad, 1.0 - beta1_).sign_();
  average.lerp_(grad, 1.0 - beta2_);
  return {direction, item.lr, kept_share(item)};
}

int64_t LionUpdate::step_bytes(const std::vector<int64_t>& shape) const { return 4 * c10::multiply_integers(shape); }

}  // namespace tessera::train
