#include "tessera/nn/rope_angles.h"

#include <cmath>
#include <numbers>

#include "tessera/base/error.h"

namespace tessera::nn {

// Llama 3.1: wavelengths above original/low_freq_factor are stretched by `factor`, those below original/high_freq_factor kept.
static double rope_llama3(double frequency, const RopeOptions& o) {
  const double wavelength = 2.0 * std::numbers::pi / frequency, original = static_cast<double>(o.original_positions);
  if (wavelength > original / o.low_freq_factor) return frequency / o.factor;
  if (wavelength < original / o.high_freq_factor) return frequency;
  const double kept = (original / wavelength - o.low_freq_factor) / (o.high_freq_factor - o.low_freq_factor);
  return (1.0 - kept) * frequency / o.factor + kept * frequency;
}

std::vector<float> rope_angles(const RopeOptions& options, int64_t head_width) {
  if (head_width < 2 || head_width % 2 != 0) throw InputError("rotary positions need an even head width, given {}", head_width);
  std::vector<float> angles(static_cast<size_t>(head_width / 2));
  for (size_t i = 0; i < angles.size(); ++i) {
    double frequency = 1.0 / std::pow(options.base, 2.0 * static_cast<double>(i) / static_cast<double>(head_width));
    if (options.scaling == RopeScaling::linear) frequency /= options.factor;
    if (options.scaling == RopeScaling::llama3) frequency = rope_llama3(frequency, options);
    angles[i] = static_cast<float>(frequency);
  }
  return angles;
}

}  // namespace tessera::nn
