#pragma once
// AdamW with block-wise 8-bit moments (arXiv 2110.02861), as bitsandbytes: eps beside the corrected root, decay behind the move.

#include "tessera/train/optim/adam_rule.h"

namespace tessera::train {

// State: exp_avg and exp_avg_sq as uint8 codes and a float32 maximum for 256 of them: 2.03 bytes an element. Tensors of fewer than 4096
// elements keep float32 moments.
class Adam8bitUpdate : public UpdateRule {
 public:
  static constexpr int64_t least_elements = 4096;
  explicit Adam8bitUpdate(const AdamOptions& options);
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
  AdamUpdate small_;
};

}  // namespace tessera::train
