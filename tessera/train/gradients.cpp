#include "tessera/train/gradients.h"

#include <cmath>

namespace tessera::train {

double sum_of_squares(const torch::Tensor& gradient) {
  torch::NoGradGuard no_grad;
  if (!gradient.defined() || gradient.numel() == 0) return 0.0;
  // dot of blocks: its order of summation depends on the block alone.
  constexpr int64_t block = 1 << 16;
  const auto flat = gradient.is_contiguous() ? gradient.view({-1}) : gradient.reshape({-1});
  double sum = 0.0;
  for (int64_t i = 0; i < flat.size(0); i += block) {
    const auto part = flat.narrow(0, i, std::min(block, flat.size(0) - i)).to(torch::kFloat32);
    sum += at::dot(part, part).item<double>();
  }
  return sum;
}

double global_norm(std::span<const torch::Tensor> gradients) {
  double sum = 0.0;
  for (const auto& gradient : gradients) sum += sum_of_squares(gradient);
  return std::sqrt(sum);
}

double clip(std::span<torch::Tensor> gradients, double norm, double most) {
  if (!(norm > most)) return 1.0;
  torch::NoGradGuard no_grad;
  const double factor = most / norm;
  for (auto& gradient : gradients)
    if (gradient.defined()) gradient.mul_(factor);
  return factor;
}

std::optional<size_t> first_not_finite(std::span<const torch::Tensor> gradients) {
  for (size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].defined() && !gradients[i].isfinite().all().item<bool>()) return i;
  return std::nullopt;
}

}  // namespace tessera::train
