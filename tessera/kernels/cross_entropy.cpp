#include "tessera/kernels/cross_entropy.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/cross_entropy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// math-inl.h needs highway.h before it.
#include <hwy/contrib/math/math-inl.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_CROSS_ENTROPY_ROWS
#define TESSERA_KERNELS_CROSS_ENTROPY_ROWS
namespace tessera::kernels {
struct CrossEntropyRows {
  const void* logits;
  const int64_t* targets;
  float* nats;
  int64_t classes;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

template <class T>
float greatest(const T* z, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto best = hn::Set(d, -INFINITY);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) best = hn::Max(best, load_lanes(d, z + i));
  float result = hn::GetLane(hn::MaxOfLanes(d, best));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) result = std::max(result, hn::GetLane(load_lanes(one, z + i)));
  return result;
}

template <class T>
float sum_of_exp(const T* z, int64_t n, float shift) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto by = hn::Set(d, shift);
  auto even = hn::Zero(d), odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    even = hn::Add(even, hn::Exp(d, hn::Sub(load_lanes(d, z + i), by)));
    odd = hn::Add(odd, hn::Exp(d, hn::Sub(load_lanes(d, z + i + lanes), by)));
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) sum += std::exp(hn::GetLane(load_lanes(one, z + i)) - shift);
  return sum;
}

template <class T>
void cross_entropy_rows_of(const CrossEntropyRows& job, int64_t begin, int64_t end) {
  const hn::CappedTag<float, 1> one;
  for (int64_t r = begin; r < end; ++r) {
    const T* z = static_cast<const T*>(job.logits) + r * job.classes;
    if (job.targets[r] < 0) {
      job.nats[r] = 0.0F;
      continue;
    }
    const float shift = greatest(z, job.classes);
    job.nats[r] = std::log(sum_of_exp(z, job.classes, shift)) + shift - hn::GetLane(load_lanes(one, z + job.targets[r]));
  }
}

void cross_entropy_rows(const CrossEntropyRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    cross_entropy_rows_of<Bf16Bits>(job, begin, end);
  } else {
    cross_entropy_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(cross_entropy_rows);

bool cross_entropy_takes(const torch::Tensor& logits) {
  return !torch::GradMode::is_enabled() && logits.device().is_cpu() && logits.dim() == 2 && logits.is_contiguous() && logits.size(1) > 0 &&
         (logits.scalar_type() == torch::kFloat32 || logits.scalar_type() == torch::kBFloat16);
}

torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  if (!cross_entropy_takes(logits) || targets.dim() != 1 || targets.size(0) != logits.size(0) || targets.scalar_type() != torch::kInt64) {
    throw InputError("cross_entropy of logits {} and targets {}; expected dense float32 or bfloat16 [N, V] on the CPU and int64 [N]",
                     tensor::shape_text(logits.sizes()), tensor::shape_text(targets.sizes()));
  }
  const auto wanted = targets.contiguous();
  auto nats = torch::empty({logits.size(0)}, torch::kFloat32);
  if (logits.size(0) == 0) return nats;
  if (const int64_t top = wanted.max().item<int64_t>(); top >= logits.size(1)) {
    throw InputError("cross_entropy: a target is {}; expected less than {}, the number of classes", top, logits.size(1));
  }
  const CrossEntropyRows job{.logits = logits.const_data_ptr(),
                             .targets = wanted.const_data_ptr<int64_t>(),
                             .nats = nats.mutable_data_ptr<float>(),
                             .classes = logits.size(1),
                             .bf16 = logits.scalar_type() == torch::kBFloat16};
  at::parallel_for(0, logits.size(0), 1 + 16384 / job.classes, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(cross_entropy_rows)(job, begin, end);
  });
  return nats;
}

}  // namespace tessera::kernels
#endif
