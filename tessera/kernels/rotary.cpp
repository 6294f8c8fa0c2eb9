#include "tessera/kernels/rotary.h"

#include <ATen/Parallel.h>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/rotary.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_ROTARY_ROWS
#define TESSERA_KERNELS_ROTARY_ROWS
namespace tessera::kernels {
// x and y [B, T, H, 2 * half] with strides in elements; they may be the same; cos and sin [B or 1, T, half] dense, `table_batch` elements a
// sequence (or 0).
struct RotaryRows {
  const void* x;
  const float *cos, *sin;
  void* y;
  int64_t tokens, heads, half;
  int64_t batch_stride, token_stride, head_stride, y_batch, y_token, y_head, table_batch;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

template <class T>
void rotary_rows_of(const RotaryRows& job, int64_t begin, int64_t end) {
  const int64_t half = job.half;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t b = r / job.tokens, t = r % job.tokens;
    const float* cos = job.cos + b * job.table_batch + t * half;
    const float* sin = job.sin + b * job.table_batch + t * half;
    for (int64_t h = 0; h < job.heads; ++h) {
      const T* x = static_cast<const T*>(job.x) + b * job.batch_stride + t * job.token_stride + h * job.head_stride;
      T* y = static_cast<T*>(job.y) + b * job.y_batch + t * job.y_token + h * job.y_head;
      for_lanes(half, [&](auto d, int64_t i) {
        const auto c = load_lanes(d, cos + i), s = load_lanes(d, sin + i);
        const auto first = load_lanes(d, x + i), second = load_lanes(d, x + half + i);
        store_lanes(d, hn::NegMulAdd(second, s, hn::Mul(first, c)), y + i);
        store_lanes(d, hn::MulAdd(first, s, hn::Mul(second, c)), y + half + i);
      });
    }
  }
}

void rotary_rows(const RotaryRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    rotary_rows_of<Bf16Bits>(job, begin, end);
  } else {
    rotary_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(rotary_rows);

bool rotary_takes(const torch::Tensor& x) {
  return !torch::GradMode::is_enabled() && x.device().is_cpu() &&
         (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16) && x.dim() == 4 && x.stride(3) == 1;
}

void rotary_into(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin, const torch::Tensor& y) {
  const auto fits = [&](const torch::Tensor& t) {
    return t.dim() == 3 && t.scalar_type() == torch::kFloat32 && t.is_contiguous() && (t.size(0) == 1 || t.size(0) == x.size(0)) &&
           t.size(1) == x.size(1) && 2 * t.size(2) == x.size(3);
  };
  const bool same = y.sizes() == x.sizes() && y.dtype() == x.dtype() && y.device().is_cpu() && y.stride(3) == 1;
  if (!rotary_takes(x) || !fits(cos) || !fits(sin) || cos.size(0) != sin.size(0) || !same) {
    throw InputError("rotary of {} with a table of {}; expected float32 or bfloat16 [B, T, H, e] on the CPU, and [B or 1, T, e/2] float32",
                     tensor::shape_text(x.sizes()), tensor::shape_text(cos.sizes()));
  }
  const int64_t tokens = x.size(1), heads = x.size(2), half = cos.size(2);
  const RotaryRows job{.x = x.const_data_ptr(),
                       .cos = cos.const_data_ptr<float>(),
                       .sin = sin.const_data_ptr<float>(),
                       .y = y.mutable_data_ptr(),
                       .tokens = tokens,
                       .heads = heads,
                       .half = half,
                       .batch_stride = x.stride(0),
                       .token_stride = x.stride(1),
                       .head_stride = x.stride(2),
                       .y_batch = y.stride(0),
                       .y_token = y.stride(1),
                       .y_head = y.stride(2),
                       .table_batch = cos.size(0) == 1 ? 0 : tokens * half,
                       .bf16 = x.scalar_type() == torch::kBFloat16};
  at::parallel_for(0, x.size(0) * tokens, 1 + 16384 / std::max<int64_t>(1, heads * 2 * half), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rotary_rows)(job, begin, end);
  });
}

torch::Tensor rotary(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  auto y = torch::empty(x.sizes(), x.options());
  rotary_into(x, cos, sin, y);
  return y;
}

}  // namespace tessera::kernels
#endif
