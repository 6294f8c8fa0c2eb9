#include "tessera/nn/rope.h"

#include <cmath>
#include <numbers>

#include "tessera/base/error.h"
#include "tessera/kernels/rotary.h"
#include "tessera/kernels/rotary_grad.h"
#include "tessera/tensor/shapes.h"

namespace tessera::nn {

// Llama 3.1: wavelengths above original/low_freq_factor are stretched by `factor`, those below original/high_freq_factor kept.
static double rope_llama3(double frequency, const RopeOptions& o) {
  const double wavelength = 2.0 * std::numbers::pi / frequency, original = static_cast<double>(o.original_positions);
  if (wavelength > original / o.low_freq_factor) return frequency / o.factor;
  if (wavelength < original / o.high_freq_factor) return frequency;
  const double kept = (original / wavelength - o.low_freq_factor) / (o.high_freq_factor - o.low_freq_factor);
  return (1.0 - kept) * frequency / o.factor + kept * frequency;
}

torch::Tensor rope_frequencies(const RopeOptions& options, int64_t head_width) {
  if (head_width < 2 || head_width % 2 != 0) throw InputError("rotary positions need an even head width, given {}", head_width);
  auto result = torch::empty({head_width / 2}, torch::kFloat32);
  auto* out = result.data_ptr<float>();
  for (int64_t i = 0; i < head_width / 2; ++i) {
    double frequency = 1.0 / std::pow(options.base, 2.0 * static_cast<double>(i) / static_cast<double>(head_width));
    if (options.scaling == RopeScaling::linear) frequency /= options.factor;
    if (options.scaling == RopeScaling::llama3) frequency = rope_llama3(frequency, options);
    out[i] = static_cast<float>(frequency);
  }
  return result;
}

RopeTable rope_table(const torch::Tensor& positions, const torch::Tensor& frequencies) {
  const auto angles = positions.to(torch::kFloat32).unsqueeze(-1) * frequencies;  // [B, T, e/2]
  return {angles.cos(), angles.sin()};
}

torch::Tensor rotate(const torch::Tensor& x, const RopeTable& table) {
  const int64_t half = table.cos.size(-1);
  if (x.dim() != 4 || x.size(3) != 2 * half || x.size(1) != table.cos.size(1) ||
      (table.cos.size(0) != 1 && table.cos.size(0) != x.size(0))) {
    throw InputError("rotary positions: x is {} and the table {}; expected x [B, T, H, e] and a table [B or 1, T, e/2]",
                     tensor::shape_text(x.sizes()), tensor::shape_text(table.cos.sizes()));
  }
  if (kernels::rotary_takes(x)) return kernels::rotary(x, table.cos, table.sin);
  if (torch::GradMode::is_enabled() && kernels::rotary_train_takes(x)) return kernels::rotary_train(x, table.cos, table.sin);
  const auto cos = table.cos.unsqueeze(2), sin = table.sin.unsqueeze(2);  // [B, T, 1, e/2]
  const auto first = x.narrow(3, 0, half).to(torch::kFloat32), second = x.narrow(3, half, half).to(torch::kFloat32);
  return torch::cat({first * cos - second * sin, second * cos + first * sin}, 3).to(x.dtype());
}

}  // namespace tessera::nn
