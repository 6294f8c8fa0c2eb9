#pragma once
// SGD with momentum, as torch.optim.SGD (no dampening), and Lion (arXiv 2302.06675): rules with at most one moment. Decay is decoupled.

#include "tessera/train/optim/rule.h"

namespace tessera::train {

// b <- momentum b + g; value -= lr b, or lr (g + momentum b) with nesterov. State: momentum_buffer, none when momentum is 0.
class SgdUpdate : public UpdateRule {
 public:
  SgdUpdate(double momentum, bool nesterov) : momentum_(momentum), nesterov_(nesterov) {}
  std::vector<StateSlot> layout(const std::vector<int64_t>& shape) const override;
  RuleStep step(const RuleItem& item, bool owned) const override;
  int64_t step_bytes(const std::vector<int64_t>& shape) const override;

 private:
  double momentum_;
  bool nesterov_;
};

// value -= lr sign(beta1 m + (1 - beta1) g); m <- beta2 m + (1 - beta2) g. State: exp_avg, 4 bytes an element.
class LionUpdate : public UpdateRule {
 public:
  LionUpdate(double beta1, double beta2) : beta1_(beta1), beta2_(beta2) {}
  std::vector<StateSlot> layout(const std::vector<int64_t>& shape) const override;
  RuleStep step(const RuleItem& item, bool owned) const override;
  int64_t step_bytes(const std::vector<int64_t>& shape) const override;

 private:
  double beta1_, beta2_;
};

}  // namespace tessera::train
