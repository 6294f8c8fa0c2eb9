#include "tessera/train/optim/rule.h"

namespace tessera::train {

torch::Tensor direction_over(const RuleItem& item, bool owned) {
  if (owned && item.grad.scalar_type() == torch::kFloat32) return item.grad;
  return item.grad.to(torch::kFloat32, false, true);
}

void take_step(const torch::Tensor& value, const RuleStep& step) {
  if (!step.keep_after && step.keep != 1.0) value.mul_(step.keep);
  value.sub_(step.direction, step.factor);
  if (step.keep_after && step.keep != 1.0) value.mul_(step.keep);
}

void UpdateRule::move(std::span<const RuleItem> items) const {
  for (const auto& item : items) take_step(item.value, step(item, false));
}

// The gradient in float32 with the step; then the direction with values of another type in float32, before and after the move.
int64_t UpdateRule::move_bytes(const std::vector<int64_t>& shape, torch::Dtype grad, torch::Dtype value) const {
  const int64_t numbers = 4 * c10::multiply_integers(shape), copy = grad == torch::kFloat32 ? 0 : numbers, step = copy + step_bytes(shape);
  return value == torch::kFloat32 ? step : std::max(step, std::min(step, numbers) + 2 * numbers);
}

RuleOptimizer::RuleOptimizer(std::vector<Parameter> parameters, std::unique_ptr<UpdateRule> rule, std::unique_ptr<UpdateRule> matrix_rule)
    : StatefulOptimizer(std::move(parameters)), rule_(std::move(rule)), matrix_rule_(std::move(matrix_rule)) {}

std::vector<StateSlot> RuleOptimizer::layout(size_t i) const {
  auto slots = rule_of(i).layout(parameters_.at(i).value.sizes().vec());
  slots.insert(slots.begin(), step_slot());
  return slots;
}

int64_t RuleOptimizer::workspace_bytes(size_t i, torch::Dtype grad) const {
  const auto& value = parameters_.at(i).value;
  return rule_of(i).move_bytes(value.sizes().vec(), grad, value.scalar_type());
}

void RuleOptimizer::move(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) {
  std::vector<RuleItem> plain, matrices;
  for (size_t k = 0; k < which.size(); ++k) {
    const auto& parameter = parameters_[which[k]];
    auto& items = matrix_rule_ && parameter.matrix ? matrices : plain;
    items.push_back({.value = parameter.value,
                     .grad = grads[k],
                     .state = std::span(slots(which[k])).subspan(1),
                     .t = count_update(which[k]),
                     .lr = time.lr * parameter.lr_scale,
                     .weight_decay = parameter.weight_decay});
  }
  rule_->move(plain);
  if (matrix_rule_) matrix_rule_->move(matrices);
}

}  // namespace tessera::train
