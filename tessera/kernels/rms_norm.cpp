#include "tessera/kernels/rms_norm.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/rms_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_RMS_NORM_ROWS
#define TESSERA_KERNELS_RMS_NORM_ROWS
namespace tessera::kernels {
// Row r of x begins at (r / inner) * outer_stride + (r % inner) * inner_stride; rows of y (and of branch, stream) lie one behind another.
struct NormRows {
  const void *x, *weight, *branch;  // branch: null, or added to x, which is then written back
  void *stream, *y;
  int64_t width, inner, outer_stride, inner_stride;
  float eps, offset;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

template <class T>
float sum_of_squares(const T* x, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto even = hn::Zero(d), odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto a = load_lanes(d, x + i), b = load_lanes(d, x + i + lanes);
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    const float a = hn::GetLane(load_lanes(one, x + i));
    sum += a * a;
  }
  return sum;
}

template <class T>
void norm_rows_of(const NormRows& job, int64_t begin, int64_t end) {
  const auto* weight = static_cast<const T*>(job.weight);
  for (int64_t r = begin; r < end; ++r) {
    const auto* x = static_cast<const T*>(job.x) + (r / job.inner) * job.outer_stride + (r % job.inner) * job.inner_stride;
    if (job.branch != nullptr) {
      const auto* branch = static_cast<const T*>(job.branch) + r * job.width;
      auto* stream = static_cast<T*>(job.stream) + r * job.width;
      for_lanes(job.width,
                [&](auto d, int64_t i) { store_lanes(d, hn::Add(load_lanes(d, stream + i), load_lanes(d, branch + i)), stream + i); });
      x = stream;
    }
    auto* y = static_cast<T*>(job.y) + r * job.width;
    const float inverse = 1.0F / std::sqrt(sum_of_squares(x, job.width) / static_cast<float>(job.width) + job.eps);
    for_lanes(job.width, [&](auto d, int64_t i) {
      const auto gain = hn::Add(load_lanes(d, weight + i), hn::Set(d, job.offset));
      store_lanes(d, hn::Mul(hn::Mul(load_lanes(d, x + i), hn::Set(d, inverse)), gain), y + i);
    });
  }
}

void norm_rows(const NormRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    norm_rows_of<Bf16Bits>(job, begin, end);
  } else {
    norm_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(norm_rows);

// Fills the row layout of x [..., inner, width]; false when the dimensions before `inner` are not at one regular distance.
static bool norm_layout(const torch::Tensor& x, NormRows& job) {
  if (x.dim() < 1 || x.numel() == 0 || x.stride(-1) != 1) return false;
  job.width = x.size(-1);
  if (x.is_contiguous()) {
    job.inner = 1;
    job.outer_stride = job.width;
    job.inner_stride = 0;
    return true;
  }
  if (x.dim() < 3) return false;
  job.inner = x.size(-2);
  job.inner_stride = x.stride(-2);
  job.outer_stride = x.stride(-3);
  for (int64_t i = x.dim() - 3; i > 0; --i) {
    if (x.stride(i - 1) != x.stride(i) * x.size(i)) return false;
  }
  return true;
}

static bool norm_dtype(const torch::Tensor& x) { return x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16; }

bool rms_norm_takes(const torch::Tensor& x, const torch::Tensor& weight) {
  NormRows job{};
  return !torch::GradMode::is_enabled() && x.device().is_cpu() && norm_dtype(x) && x.scalar_type() == weight.scalar_type() &&
         weight.is_contiguous() && norm_layout(x, job);
}

static torch::Tensor run_norm(NormRows job, const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset) {
  if (!rms_norm_takes(x, weight) || weight.dim() != 1 || weight.size(0) != x.size(-1) || !norm_layout(x, job)) {
    throw InputError(
        "rms_norm of {} with a gain of {}; expected regular float32 or bfloat16 rows on the CPU, a gain of their width, and no gradient",
        tensor::shape_text(x.sizes()), tensor::shape_text(weight.sizes()));
  }
  auto y = torch::empty(x.sizes(), x.options());
  job.x = x.const_data_ptr();
  job.weight = weight.const_data_ptr();
  job.y = y.mutable_data_ptr();
  job.eps = static_cast<float>(eps);
  job.offset = static_cast<float>(offset);
  job.bf16 = x.scalar_type() == torch::kBFloat16;
  at::parallel_for(0, x.numel() / job.width, 1 + 16384 / job.width, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(norm_rows)(job, begin, end);
  });
  return y;
}

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset) {
  return run_norm({}, x, weight, eps, offset);
}

torch::Tensor add_rms_norm(const torch::Tensor& stream, const torch::Tensor& branch, const torch::Tensor& weight, double eps,
                           double offset) {
  if (stream.sizes() != branch.sizes() || stream.dtype() != branch.dtype() || !stream.is_contiguous() || !branch.is_contiguous()) {
    throw InputError("add_rms_norm of a stream {} and a branch {}; expected two dense tensors of one shape and dtype",
                     tensor::shape_text(stream.sizes()), tensor::shape_text(branch.sizes()));
  }
  NormRows job{};
  job.branch = branch.const_data_ptr();
  job.stream = stream.mutable_data_ptr();
  return run_norm(job, stream, weight, eps, offset);
}

}  // namespace tessera::kernels
#endif
