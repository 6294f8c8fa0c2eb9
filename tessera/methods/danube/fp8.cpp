#include "tessera/methods/danube/fp8.h"

#include <algorithm>
#include <cmath>

#include "tessera/base/error.h"

namespace tessera::danube {

namespace {

// What autograd keeps of a layer between forward and backward.
struct HeldScales : torch::CustomClassHolder {
  explicit HeldScales(std::shared_ptr<Fp8Scales> given) : scales(std::move(given)) {}
  std::shared_ptr<Fp8Scales> scales;
};

}  // namespace

double largest(Fp8 format) { return format == Fp8::e4m3 ? 448.0 : 57344.0; }

// LibTorch rounds to the nearest, ties to even, but does not saturate.
torch::Tensor rounded(const torch::Tensor& x, Fp8 format) {
  const auto type = format == Fp8::e4m3 ? torch::kFloat8_e4m3fn : torch::kFloat8_e5m2;
  return x.clamp(-largest(format), largest(format)).to(type).to(torch::kFloat32);
}

DelayedScale::DelayedScale(Fp8 format, int64_t steps) : format_(format), steps_(static_cast<size_t>(std::max<int64_t>(steps, 0))) {
  if (steps < 1) throw InputError("a history of {} steps for FP8 scales; give 1 or more, usually 16 to 1024", steps);
}

double DelayedScale::scale() const {
  const double most = largest_.empty() ? 0.0 : *std::max_element(largest_.begin(), largest_.end());
  return most > 0.0 ? largest(format_) / most : 1.0;
}

void DelayedScale::restore(const std::vector<double>& history) {
  if (history.size() > steps_) throw InputError("an FP8 history of {} steps for scales that keep {}", history.size(), steps_);
  largest_.assign(history.begin(), history.end());
}

torch::Tensor DelayedScale::through(const torch::Tensor& x) {
  torch::NoGradGuard no_grad;
  if (x.numel() == 0) return x;
  const double most = x.abs().max().item<double>();
  const double noted = std::isfinite(most) ? most : 0.0;
  const bool first = largest_.empty();
  if (first) largest_.push_back(noted);
  const double factor = scale();
  const auto scaled = x * factor;
  const auto held = rounded(scaled, format_);
  losses_.values += x.numel();
  losses_.underflow += held.eq(0).logical_and_(x.ne(0)).sum().item<int64_t>();
  losses_.overflow += scaled.abs().gt(largest(format_)).sum().item<int64_t>();
  if (!first) largest_.push_back(noted);
  if (largest_.size() > steps_) largest_.pop_front();
  return held / factor;
}

namespace {

struct Fp8Linear : torch::autograd::Function<Fp8Linear> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& x, const torch::Tensor& weight,
                               const c10::intrusive_ptr<HeldScales>& held) {
    const auto x8 = held->scales->input.through(x), weight8 = held->scales->weight.through(weight);
    ctx->save_for_backward({x8, weight8});
    ctx->saved_data["scales"] = c10::IValue::make_capsule(held);
    return at::linear(x8, weight8);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list dy) {
    const auto saved = ctx->get_saved_variables();
    const auto held = c10::static_intrusive_pointer_cast<HeldScales>(ctx->saved_data["scales"].toCapsule());
    const auto g = held->scales->gradient.through(dy[0]);
    const auto rows = g.reshape({-1, g.size(-1)});
    const auto dx = ctx->needs_input_grad(0) ? at::matmul(g, saved[1]) : torch::Tensor();
    const auto dw = ctx->needs_input_grad(1) ? at::matmul(rows.t(), saved[0].reshape({-1, saved[0].size(-1)})) : torch::Tensor();
    return {dx, dw, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor fp8_linear(const torch::Tensor& x, const torch::Tensor& weight, const std::shared_ptr<Fp8Scales>& scales) {
  if (weight.dim() != 2 || x.dim() < 1 || x.size(-1) != weight.size(1))
    throw InputError("an FP8 linear of x {} and weight {}; give [..., in] and [out, in]", c10::str(x.sizes()), c10::str(weight.sizes()));
  if (x.scalar_type() != torch::kFloat32 || weight.scalar_type() != torch::kFloat32)
    throw InputError("an FP8 linear of {} and {}; the emulation takes float32", c10::toString(x.scalar_type()),
                     c10::toString(weight.scalar_type()));
  return Fp8Linear::apply(x, weight, c10::make_intrusive<HeldScales>(scales));
}

}  // namespace tessera::danube
