#include "tessera/kernels/gated_activation_grad.h"

#include <ATen/Parallel.h>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/gated_activation_grad.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// math-inl.h needs highway.h before it.
#include <hwy/contrib/math/math-inl.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_GATED_GRAD_ROWS
#define TESSERA_KERNELS_GATED_GRAD_ROWS
namespace tessera::kernels {
struct GatedGradRows {
  const void *in, *dy;  // rows of 2 * width: gate, up; rows of width
  void* din;            // rows of 2 * width
  int64_t width;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

template <class T>
void gated_grad_rows_of(const GatedGradRows& job, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T *gate = static_cast<const T*>(job.in) + r * 2 * job.width, *dy = static_cast<const T*>(job.dy) + r * job.width;
    T* din = static_cast<T*>(job.din) + r * 2 * job.width;
    for_lanes(job.width, [&](auto d, int64_t i) {
      const auto g = load_lanes(d, gate + i), up = load_lanes(d, gate + job.width + i), slope = load_lanes(d, dy + i);
      const auto one = hn::Set(d, 1.0F);
      const auto s = hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(g), hn::Set(d, 88.0F)))));
      const auto silu = hn::Mul(g, s);
      store_lanes(d, hn::Mul(slope, silu), din + job.width + i);
      store_lanes(d, hn::Mul(hn::Mul(slope, up), hn::MulAdd(silu, hn::Sub(one, s), s)), din + i);
    });
  }
}

void gated_grad_rows(const GatedGradRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    gated_grad_rows_of<Bf16Bits>(job, begin, end);
  } else {
    gated_grad_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(gated_grad_rows);

namespace {

struct GatedSiluTrain : torch::autograd::Function<GatedSiluTrain> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& gate_and_up) {
    ctx->save_for_backward({gate_and_up});
    return gated_activation(gate_and_up, Gate::silu);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, const torch::autograd::variable_list& gradients) {
    const auto in = ctx->get_saved_variables()[0];
    const auto dy = gradients[0].contiguous();
    auto din = torch::empty_like(in);
    const GatedGradRows job{.in = in.const_data_ptr(),
                            .dy = dy.const_data_ptr(),
                            .din = din.mutable_data_ptr(),
                            .width = dy.size(-1),
                            .bf16 = in.scalar_type() == torch::kBFloat16};
    at::parallel_for(0, dy.numel() / job.width, 1 + 8192 / job.width, [&](int64_t begin, int64_t end) {
      HWY_DYNAMIC_DISPATCH(gated_grad_rows)(job, begin, end);
    });
    return {din};
  }
};

}  // namespace

bool gated_activation_train_takes(const torch::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16) && x.dim() >= 1 &&
         x.size(-1) % 2 == 0 && x.numel() > 0 && x.is_contiguous();
}

torch::Tensor gated_silu_train(const torch::Tensor& x) {
  if (!gated_activation_train_takes(x)) {
    throw InputError("gated_silu_train of {}; expected dense float32 or bfloat16 [..., 2 F] on the CPU", tensor::shape_text(x.sizes()));
  }
  return GatedSiluTrain::apply(x);
}

}  // namespace tessera::kernels
#endif
