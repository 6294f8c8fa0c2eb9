#include "tessera/train/optim/muon_rule.h"

#include <cmath>

namespace tessera::train {

torch::Tensor newton_schulz(const torch::Tensor& x, double eps) {
  const bool tall = x.size(0) > x.size(1);
  auto y = (tall ? x.t() : x).to(torch::kFloat32);
  y = y / y.norm().clamp_min(eps);
  for (int step = 0; step < 5; ++step) {
    const auto gram = torch::mm(y, y.t());
    const auto poly = torch::addmm(gram, gram, gram, -4.7750, 2.0315);  // b A + c A A
    y = torch::addmm(y, poly, y, 3.4445);
  }
  return tall ? y.t() : y;
}

std::vector<StateSlot> MuonUpdate::layout(const std::vector<int64_t>& shape) const { return {{"momentum_buffer", shape}}; }

RuleStep MuonUpdate::step(const RuleItem& item, bool /* owned */) const {
  const auto grad = item.grad.to(torch::kFloat32);
  auto& buffer = item.state[0];
  buffer.lerp_(grad, 1.0 - options_.momentum);
  const auto update = options_.nesterov ? grad.lerp(buffer, options_.momentum) : buffer;
  const auto flat = update.reshape({update.size(0), -1});
  const auto m = static_cast<double>(flat.size(0)), n = static_cast<double>(flat.size(1));
  const double rate = options_.rate == MuonRate::adamw ? 0.2 * std::sqrt(std::max(m, n)) : std::sqrt(std::max(1.0, m / n));
  return {newton_schulz(flat, options_.eps).reshape(grad.sizes()), item.lr * rate, kept_share(item)};
}

// The update, two iterates of it, and the Gram matrix with its polynomial.
int64_t MuonUpdate::step_bytes(const std::vector<int64_t>& shape) const {
  const int64_t elements = c10::multiply_integers(shape), rows = shape.front(),
                side = std::min(rows, elements / std::max<int64_t>(1, rows));
  return 4 * ((options_.nesterov ? 3 : 2) * elements + 2 * side * side);
}

}  // namespace tessera::train
