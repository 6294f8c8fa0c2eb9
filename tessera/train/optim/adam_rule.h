#pragma once
// AdamW (Loshchilov and Hutter, arXiv 1711.05101) as one kernel pass.

#include "tessera/kernels/adam.h"
#include "tessera/train/optim/rule.h"

namespace tessera::train {

// Where Adam's eps stands and when the decay acts.
enum class AdamForm {
  corrected,   // torch.optim.AdamW: value *= 1 - lr wd; value -= lr/(1-b1^t) m / (sqrt(v / (1-b2^t)) + eps)
  uncorrected  // GaLore's code (old Hugging Face): value -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + eps); value -= lr wd value
};

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  AdamForm form = AdamForm::corrected;
  torch::Dtype state_dtype = torch::kFloat32;  // or bfloat16: halves the state, loses digits of v
};

// What the kernels read of the options.
kernels::AdamRule rates_of(const AdamOptions& options);

// What t updates make of the rates: step multiplies the direction, root_scale sqrt(v).
struct AdamFactors {
  double step = 0.0, root_scale = 1.0;
};
AdamFactors adam_factors(const AdamOptions& options, int64_t t, double lr);

// State: exp_avg, exp_avg_sq: 8 bytes an element (4 in bfloat16).
class AdamUpdate : public UpdateRule {
 public:
  explicit AdamUpdate(const AdamOptions& options) : options_(options) {}
  std::vector<StateSlot> layout(const std::vector<int64_t>& shape) const override;
  RuleStep step(const RuleItem& item, bool owned) const override;
  int64_t step_bytes(const std::vector<int64_t>& /* shape */) const override { return 0; }
  int64_t move_bytes(const std::vector<int64_t>& /* shape */, torch::Dtype /* grad */, torch::Dtype /* value */) const override {
    return 0;
  }
  void move(std::span<const RuleItem> items) const override;
  std::vector<torch::Tensor> moments(std::span<torch::Tensor> state) const override;
  void set_moments(std::span<torch::Tensor> state, const std::vector<torch::Tensor>& moments) const override;

 private:
  AdamOptions options_;
};

}  // namespace tessera::train
