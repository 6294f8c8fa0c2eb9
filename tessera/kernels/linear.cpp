#include "tessera/kernels/linear.h"

#include <ATen/Parallel.h>

#include <array>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/linear.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_LINEAR_ROWS
#define TESSERA_KERNELS_LINEAR_ROWS
namespace tessera::kernels {
// y[r, o] = sum_i x[r, i] w[o, i] + bias[o], all bfloat16 or all float32; one or two rows.
struct FewRows {
  const void *x, *weight, *bias;  // bias: or null
  void* y;
  int64_t rows, in, out;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

using Floats = hn::ScalableTag<float>;
template <class T>
constexpr int kParts = sizeof(float) / sizeof(T);  // vectors of floats in a vector of T

template <int kPart>
hn::Vec<Floats> load_part(Floats d, const float* p) {
  return hn::LoadU(d, p);
}

// Of two vectors' worth of elements part 0 takes those at even places, part 1 those at odd ones: one operation each, where widening them in
// order takes two.
template <int kPart>
hn::Vec<Floats> load_part(Floats d, const Bf16Bits* p) {
  const hn::RebindToUnsigned<Floats> wide;
#if HWY_TARGET == HWY_SCALAR
  const auto pairs = hn::Set(wide, p[0] | uint32_t{p[1]} << 16);
#else
  const auto pairs = hn::BitCast(wide, hn::LoadU(hn::Repartition<uint16_t, Floats>(), p));
#endif
  return hn::BitCast(d, kPart == 0 ? hn::ShiftLeft<16>(pairs) : hn::And(pairs, hn::Set(wide, 0xffff0000U)));
}

// A row in float32, in the order of load_part; what no whole vector holds stays as it is.
template <class T>
void spread(const T* x, int64_t n, float* to) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + kParts<T> * lanes <= n; i += kParts<T> * lanes) {
    hn::StoreU(load_part<0>(d, x + i), d, to + i);
    if constexpr (kParts<T> == 2) hn::StoreU(load_part<1>(d, x + i), d, to + i + lanes);
  }
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) to[i] = hn::GetLane(load_lanes(one, x + i));
}

// `kRows` spread rows of x by `kOutputs` rows of w, each at a distance of n: every vector that is loaded serves all of the others.
template <int kRows, int kOutputs, class T>
void few_dots(const float* x, const T* w, int64_t n, float* sums) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  std::array<hn::Vec<Floats>, kRows * kOutputs> partial;
  for (auto& each : partial) each = hn::Zero(d);
  int64_t i = 0;
  for (; i + kParts<T> * lanes <= n; i += kParts<T> * lanes) {
#pragma GCC unroll 8
    for (int o = 0; o < kOutputs; ++o) {
      const auto weights = load_part<0>(d, w + o * n + i);
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) partial[o * kRows + r] = hn::MulAdd(hn::LoadU(d, x + r * n + i), weights, partial[o * kRows + r]);
      if constexpr (kParts<T> == 2) {
        const auto others = load_part<1>(d, w + o * n + i);
#pragma GCC unroll 2
        for (int r = 0; r < kRows; ++r)
          partial[o * kRows + r] = hn::MulAdd(hn::LoadU(d, x + r * n + i + lanes), others, partial[o * kRows + r]);
      }
    }
  }
  for (int k = 0; k < kRows * kOutputs; ++k) sums[k] = hn::GetLane(hn::SumOfLanes(d, partial[k]));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    for (int o = 0; o < kOutputs; ++o) {
      const float weight = hn::GetLane(load_lanes(one, w + o * n + i));
      for (int r = 0; r < kRows; ++r) sums[o * kRows + r] += x[r * n + i] * weight;
    }
  }
}

template <int kRows, int kOutputs, class T>
void few_outputs(const FewRows& job, const float* x, int64_t begin, int64_t end) {
  const auto* weight = static_cast<const T*>(job.weight);
  const auto* bias = static_cast<const T*>(job.bias);
  auto* y = static_cast<T*>(job.y);
  const hn::CappedTag<float, 1> one;
  std::array<float, kRows * kOutputs> sums;
  int64_t o = begin;
  for (; o + kOutputs <= end; o += kOutputs) {
    few_dots<kRows, kOutputs>(x, weight + o * job.in, job.in, sums.data());
    for (int k = 0; k < kOutputs; ++k) {
      const float shift = bias == nullptr ? 0.0F : hn::GetLane(load_lanes(one, bias + o + k));
      for (int r = 0; r < kRows; ++r) store_lanes(one, hn::Set(one, sums[k * kRows + r] + shift), y + r * job.out + o + k);
    }
  }
  if constexpr (kOutputs > 1) {
    if (o < end) few_outputs<kRows, 1, T>(job, x, o, end);
  }
}

template <class T>
void few_rows_of(const FewRows& job, int64_t begin, int64_t end) {
  std::vector<float> x(job.rows * job.in);
  for (int64_t r = 0; r < job.rows; ++r) spread(static_cast<const T*>(job.x) + r * job.in, job.in, x.data() + r * job.in);
  if (job.rows == 1) {
    few_outputs<1, 8, T>(job, x.data(), begin, end);
  } else {
    few_outputs<2, 4, T>(job, x.data(), begin, end);
  }
}

void few_rows(const FewRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    few_rows_of<Bf16Bits>(job, begin, end);
  } else {
    few_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(few_rows);

static bool few_rows_fit(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  constexpr int64_t kMost = 2;  // from 4 rows on the library is as fast
  const auto dtype = x.scalar_type();
  return !torch::GradMode::is_enabled() && x.device().is_cpu() && weight.device().is_cpu() && x.dim() > 0 && weight.dim() == 2 &&
         (dtype == torch::kFloat32 || dtype == torch::kBFloat16) && weight.scalar_type() == dtype && weight.is_contiguous() &&
         x.size(-1) == weight.size(1) && x.numel() > 0 && x.numel() <= kMost * x.size(-1) && weight.numel() > 0 &&
         (!bias.defined() || (bias.scalar_type() == dtype && bias.is_contiguous() && bias.numel() == weight.size(0)));
}

torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  if (!few_rows_fit(x, weight, bias)) return at::linear(x, weight, bias);
  const auto dense = x.contiguous();
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  auto y = torch::empty(sizes, x.options().requires_grad(false));
  const FewRows job{.x = dense.const_data_ptr(),
                    .weight = weight.const_data_ptr(),
                    .bias = bias.defined() ? bias.const_data_ptr() : nullptr,
                    .y = y.mutable_data_ptr(),
                    .rows = x.numel() / x.size(-1),
                    .in = weight.size(1),
                    .out = weight.size(0),
                    .bf16 = x.scalar_type() == torch::kBFloat16};
  constexpr int64_t kGrain = int64_t{1} << 17;  // weights a thread takes at least: some ten microseconds, above the cost of waking it
  at::parallel_for(0, job.out, 1 + kGrain / job.in, [&](int64_t begin, int64_t end) { HWY_DYNAMIC_DISPATCH(few_rows)(job, begin, end); });
  return y;
}

}  // namespace tessera::kernels
#endif
