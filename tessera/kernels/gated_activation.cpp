#include "tessera/kernels/gated_activation.h"

#include <ATen/Parallel.h>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/gated_activation.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// math-inl.h needs highway.h before it.
#include <hwy/contrib/math/math-inl.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_GATED_ROWS
#define TESSERA_KERNELS_GATED_ROWS
namespace tessera::kernels {
struct GatedRows {
  const void* in;  // rows of 2 * width: gate, up
  void* out;       // rows of width
  int64_t width;
  Gate gate;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

// Both gates are g / (1 + exp(-a)): a = g, or 2 sqrt(2/pi) (g + 0.044715 g^3). exp is cut at 88, where g / (1 + exp) is 0 in float32.
template <class D>
hn::Vec<D> gate_lanes(D d, Gate gate, hn::Vec<D> g) {
  auto a = g;
  if (gate == Gate::gelu_tanh) {
    const auto cube = hn::MulAdd(hn::Mul(hn::Mul(g, g), g), hn::Set(d, 0.044715F), g);
    a = hn::Mul(cube, hn::Set(d, 1.5957691216057308F));
  }
  const auto e = hn::Exp(d, hn::Min(hn::Neg(a), hn::Set(d, 88.0F)));
  return hn::Div(g, hn::Add(e, hn::Set(d, 1.0F)));
}

template <class T>
void gated_rows_of(const GatedRows& job, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T* gate = static_cast<const T*>(job.in) + r * 2 * job.width;
    T* out = static_cast<T*>(job.out) + r * job.width;
    for_lanes(job.width, [&](auto d, int64_t i) {
      store_lanes(d, hn::Mul(gate_lanes(d, job.gate, load_lanes(d, gate + i)), load_lanes(d, gate + job.width + i)), out + i);
    });
  }
}

void gated_rows(const GatedRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    gated_rows_of<Bf16Bits>(job, begin, end);
  } else {
    gated_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(gated_rows);

bool gated_activation_takes(const torch::Tensor& x) {
  return !torch::GradMode::is_enabled() && x.device().is_cpu() &&
         (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16) && x.dim() >= 1 && x.size(-1) % 2 == 0 &&
         x.numel() > 0 && x.is_contiguous();
}

torch::Tensor gated_activation(const torch::Tensor& x, Gate gate) {
  if (!gated_activation_takes(x)) {
    throw InputError("gated_activation of {}; expected dense float32 or bfloat16 [..., 2 F] on the CPU, and no gradient",
                     tensor::shape_text(x.sizes()));
  }
  auto sizes = x.sizes().vec();
  sizes.back() /= 2;
  auto out = torch::empty(sizes, x.options());
  const GatedRows job{.in = x.const_data_ptr(),
                      .out = out.mutable_data_ptr(),
                      .width = sizes.back(),
                      .gate = gate,
                      .bf16 = x.scalar_type() == torch::kBFloat16};
  at::parallel_for(0, out.numel() / job.width, 1 + 8192 / job.width, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(gated_rows)(job, begin, end);
  });
  return out;
}

}  // namespace tessera::kernels
#endif
