#pragma once
// Adafactor (Shazeer and Stern, arXiv 1804.04235) as Hugging Face's and GaLore's code: a second moment factored into rows and columns.

#include "tessera/train/optim/rule.h"

namespace tessera::train {

struct AdafactorOptions {
  double beta1 = 0.0;            // 0: no first moment; else it averages the scaled update
  double eps = 1e-30;            // beside the squared gradient
  double least_scale = 1e-3;     // the floor of RMS(value) with scale_parameter
  double clip = 1.0;             // the update's RMS is brought down to this
  double decay = 0.8;            // beta2 of update t is 1 - t^-decay
  bool scale_parameter = false;  // the rate is multiplied by max(least_scale, RMS(value))
  bool relative_step = false;    // the rate is min(1e-2, 1/sqrt(t)) and the schedule's is not read
  bool warmup_init = false;      // with relative_step: min(1e-6 t, 1/sqrt(t))
};

// State of a tensor [.., m, n]: exp_avg_sq_row [.., m] and exp_avg_sq_col [.., n]; of a vector exp_avg_sq; with beta1 exp_avg too.
class AdafactorUpdate : public UpdateRule {
 public:
  explicit AdafactorUpdate(const AdafactorOptions& options) : options_(options) {}
  std::vector<StateSlot> layout(const std::vector<int64_t>& shape) const override;
  RuleStep step(const RuleItem& item, bool owned) const override;
  int64_t step_bytes(const std::vector<int64_t>& shape) const override;

 private:
  double rate(const RuleItem& item) const;
  AdafactorOptions options_;
};

}  // namespace tessera::train
