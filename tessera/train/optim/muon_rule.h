#pragma once
// Muon (Jordan et al. 2024): momentum whose direction is made orthogonal by five Newton-Schulz steps, for matrices.

#include "tessera/train/optim/options.h"
#include "tessera/train/optim/rule.h"

namespace tessera::train {

// MuonRate multiplies the rate of a matrix [m, n]: spectral by sqrt(max(1, m/n)), the original; adamw by 0.2 sqrt(max(m, n)), which gives
// the update the RMS of AdamW's, so that one rate suits both (Moonlight, arXiv 2502.16982).
struct MuonOptions {
  double momentum = 0.95, eps = 1e-7;
  bool nesterov = true;
  MuonRate rate = MuonRate::adamw;
};

// The nearest semi-orthogonal matrix to x [m, n], roughly: five steps of the quintic 3.4445 x - 4.7750 x^3 + 2.0315 x^5 on the singular
// values, in float32; they end between 0.7 and 1.2.
torch::Tensor newton_schulz(const torch::Tensor& x, double eps);

// State: momentum_buffer, 4 bytes an element. Tensors of more than two dimensions are seen as [first, rest].
class MuonUpdate : public UpdateRule {
 public:
  explicit MuonUpdate(const MuonOptions& options) : options_(options) {}
  std::vector<StateSlot> layout(const std::vector<int64_t>& shape) const override;
  RuleStep step(const RuleItem& item, bool owned) const override;
  int64_t step_bytes(const std::vector<int64_t>& shape) const override;

 private:
  MuonOptions options_;
};

}  // namespace tessera::train
