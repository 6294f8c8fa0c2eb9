#include "tessera/train/optim/adafactor_rule.h"

#include <cmath>

namespace tessera::train {

static double adafactor_rms(const torch::Tensor& t) {
  return torch::linalg_vector_norm(t, 2, std::nullopt, false, torch::kFloat32).item<double>() / std::sqrt(static_cast<double>(t.numel()));
}

std::vector<StateSlot> AdafactorUpdate::layout(const std::vector<int64_t>& shape) const {
  std::vector<StateSlot> slots;
  if (shape.size() >= 2) {
    auto row = shape, column = shape;
    row.pop_back();
    column.erase(column.end() - 2);
    slots = {{"exp_avg_sq_row", row}, {"exp_avg_sq_col", column}};
  } else {
    slots = {{"exp_avg_sq", shape}};
  }
  if (options_.beta1 > 0.0) slots.push_back({"exp_avg", shape});
  return slots;
}

double AdafactorUpdate::rate(const RuleItem& item) const {
  double rate = item.lr;
  if (options_.relative_step) {
    const auto t = static_cast<double>(item.t);
    rate = std::min(options_.warmup_init ? 1e-6 * t : 1e-2, 1.0 / std::sqrt(t));
  }
  return options_.scale_parameter ? rate * std::max(options_.least_scale, adafactor_rms(item.value)) : rate;
}

RuleStep AdafactorUpdate::step(const RuleItem& item, bool /* owned */) const {
  const auto grad = item.grad.to(torch::kFloat32);
  const double fresh = std::pow(static_cast<double>(item.t), -options_.decay);  // 1 - beta2
  const auto squares = grad.square().add_(options_.eps);
  torch::Tensor update;
  if (grad.dim() >= 2) {
    auto &row = item.state[0], &column = item.state[1];
    row.lerp_(squares.mean(-1), fresh);
    column.lerp_(squares.mean(-2), fresh);
    update = (row / row.mean(-1, true)).rsqrt_().unsqueeze(-1) * grad;
    update.mul_(column.rsqrt().unsqueeze(-2));
  } else {
    item.state[0].lerp_(squares, fresh);
    update = item.state[0].rsqrt().mul_(grad);
  }
  const double lr = rate(item);
  update.mul_(lr / std::max(1.0, adafactor_rms(update) / options_.clip));
  if (options_.beta1 > 0.0) {
    auto& average = item.state.back();
    average.lerp_(update, 1.0 - options_.beta1);
    update = average;
  }
  return {update, 1.0, 1.0 - lr * item.weight_decay};
}

// The squares and the update.
int64_t AdafactorUpdate::step_bytes(const std::vector<int64_t>& shape) const { return 8 * c10::multiply_integers(shape); }

}  // namespace tessera::train
