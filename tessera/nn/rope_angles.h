#pragma once
// How far a rotary position embedding (Su et al., arXiv 2104.09864) turns each pair of a head, without LibTorch.

#include <cstdint>
#include <vector>

namespace tessera::nn {

enum class RopeScaling {
  none,
  linear,  // positions divided by `factor`
  llama3   // low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1)
};

struct RopeOptions {
  double base = 10000.0;  // theta
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3 only
  int64_t original_positions = 8192;                     // llama3 only: context length before scaling
  bool operator==(const RopeOptions&) const = default;
};

// The head_width/2 angles that one position turns each pair by, radians. Throws InputError on a head width that is odd or below 2.
std::vector<float> rope_angles(const RopeOptions& options, int64_t head_width);

}  // namespace tessera::nn
