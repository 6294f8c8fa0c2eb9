#pragma once
// FP8 training emulated in float32 (Danube, arXiv 2401.16818, section 3: every linear of attention and MLP in FP8). The paper leaves the
// recipe of scales open; this is the usual one, as in Transformer Engine: E4M3 for weights and activations, E5M2 for gradients, one scale a
// tensor from the largest magnitude of the last steps (delayed scaling), sums in float32, float32 master weights.

#include <torch/torch.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace tessera::danube {

enum class Fp8 {
  e4m3,  // 4 exponent bits, 3 of mantissa, no infinity: largest 448, smallest normal 2^-6, smallest 2^-9
  e5m2   // 5 and 2: largest finite 57344, smallest normal 2^-14, smallest 2^-16
};
double largest(Fp8 format);

// Every value at the nearest one of the format, ties to even; beyond the largest, infinities included, the largest with its sign. NaN
// stays. x: any shape, float32. Returns float32.
torch::Tensor rounded(const torch::Tensor& x, Fp8 format);

// How many of a tensor's values the format could not hold.
struct Fp8Losses {
  int64_t values = 0;
  int64_t underflow = 0;  // not 0 before, 0 after
  int64_t overflow = 0;   // beyond the largest before rounding
  double underflow_fraction() const { return values > 0 ? static_cast<double>(underflow) / static_cast<double>(values) : 0.0; }
  double overflow_fraction() const { return values > 0 ? static_cast<double>(overflow) / static_cast<double>(values) : 0.0; }
};

// The scale of one tensor that comes again at every step: largest / max|x| over the last `steps` tensors, the present one excluded (its
// maximum is not known before it is made); of the first tensor, over itself. Zeros and values that are not finite leave the scale at 1.
class DelayedScale {
 public:
  explicit DelayedScale(Fp8 format, int64_t steps = 16);  // steps: 1 and up; InputError
  // x as the format holds it, in x's own units: rounded(x * scale) / scale. Notes max|x| and the losses.
  torch::Tensor through(const torch::Tensor& x);
  double scale() const;  // of the next tensor; 1 before the first
  const Fp8Losses& losses() const { return losses_; }
  void forget_losses() { losses_ = {}; }
  // What the next scale depends on, oldest first: a checkpoint stores it. restore throws InputError for more than `steps` values.
  std::vector<double> history() const { return {largest_.begin(), largest_.end()}; }
  void restore(const std::vector<double>& history);

 private:
  Fp8 format_;
  size_t steps_;
  std::deque<double> largest_;  // of the last tensors
  Fp8Losses losses_;
};

// The three tensors of one linear layer.
struct Fp8Scales {
  DelayedScale input, weight, gradient;
  explicit Fp8Scales(int64_t steps = 16) : input(Fp8::e4m3, steps), weight(Fp8::e4m3, steps), gradient(Fp8::e5m2, steps) {}
};

// y = x W^T with x and W through E4M3; backward: dx = g W and dW = g^T x with g = dy through E5M2 and the same x and W. Products and sums
// are float32. x: [..., in]; weight: [out, in]; float32. Returns [..., out]. Differentiable once in both.
torch::Tensor fp8_linear(const torch::Tensor& x, const torch::Tensor& weight, const std::shared_ptr<Fp8Scales>& scales);

}  // namespace tessera::danube
