#include "tessera/kernels/cross_entropy_grad.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/kernels/cross_entropy.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/cross_entropy_grad.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// math-inl.h needs highway.h before it.
#include <hwy/contrib/math/math-inl.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_CROSS_ENTROPY_GRAD_ROWS
#define TESSERA_KERNELS_CROSS_ENTROPY_GRAD_ROWS
namespace tessera::kernels {
struct EntropyGradRows {
  void* logits;
  const int64_t* targets;
  float* nats;
  int64_t classes;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

template <class D>
float lanes_sum(D d, hn::Vec<D> v) {
  return hn::GetLane(hn::SumOfLanes(d, v));
}

template <class T>
float entropy_grad_peak(const T* z, int64_t n) {
  float result = -INFINITY;
  const hn::ScalableTag<float> full;
  auto best = hn::Set(full, -INFINITY);
  for_lanes(n, [&](auto d, int64_t i) {
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      best = hn::Max(best, load_lanes(d, z + i));
    } else {
      result = std::max(result, hn::GetLane(load_lanes(d, z + i)));
    }
  });
  return std::max(result, hn::GetLane(hn::MaxOfLanes(full, best)));
}

// Sum of exp(z - shift); float32 rows are overwritten by the exponentials, which saves the second evaluation.
template <class T>
float entropy_grad_sum(T* z, int64_t n, float shift) {
  float rest = 0.0F;
  const hn::ScalableTag<float> full;
  auto sum = hn::Zero(full);
  for_lanes(n, [&](auto d, int64_t i) {
    const auto e = hn::Exp(d, hn::Sub(load_lanes(d, z + i), hn::Set(d, shift)));
    if constexpr (std::is_same_v<T, float>) store_lanes(d, e, z + i);
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      sum = hn::Add(sum, e);
    } else {
      rest += hn::GetLane(e);
    }
  });
  return rest + lanes_sum(full, sum);
}

template <class T>
void entropy_grad_rows_of(const EntropyGradRows& job, int64_t begin, int64_t end) {
  const hn::CappedTag<float, 1> one;
  for (int64_t r = begin; r < end; ++r) {
    T* z = static_cast<T*>(job.logits) + r * job.classes;
    const int64_t target = job.targets[r];
    if (target < 0) {
      job.nats[r] = 0.0F;
      std::fill(z, z + job.classes, T{});
      continue;
    }
    const float wanted = hn::GetLane(load_lanes(one, z + target)), shift = entropy_grad_peak(z, job.classes);
    const float sum = entropy_grad_sum(z, job.classes, shift), log_sum = std::log(sum);
    job.nats[r] = log_sum + shift - wanted;
    if constexpr (std::is_same_v<T, float>) {
      for_lanes(job.classes, [&](auto d, int64_t i) { store_lanes(d, hn::Mul(load_lanes(d, z + i), hn::Set(d, 1.0F / sum)), z + i); });
    } else {
      for_lanes(job.classes,
                [&](auto d, int64_t i) { store_lanes(d, hn::Exp(d, hn::Sub(load_lanes(d, z + i), hn::Set(d, shift + log_sum))), z + i); });
    }
    store_lanes(one, hn::Set(one, std::expm1(wanted - shift - log_sum)), z + target);  // softmax - 1 without cancellation
  }
}

void entropy_grad_rows(const EntropyGradRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    entropy_grad_rows_of<Bf16Bits>(job, begin, end);
  } else {
    entropy_grad_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(entropy_grad_rows);

bool cross_entropy_grad_takes(const torch::Tensor& logits) { return cross_entropy_takes(logits); }

torch::Tensor cross_entropy_grad_(torch::Tensor& logits, const torch::Tensor& targets) {
  if (!cross_entropy_grad_takes(logits) || targets.dim() != 1 || targets.size(0) != logits.size(0) ||
      targets.scalar_type() != torch::kInt64) {
    throw InputError("cross_entropy_grad_ of logits {} and targets {}; expected dense float32 or bfloat16 [N, V] on the CPU and int64 [N]",
                     tensor::shape_text(logits.sizes()), tensor::shape_text(targets.sizes()));
  }
  const auto wanted = targets.contiguous();
  auto nats = torch::empty({logits.size(0)}, torch::kFloat32);
  if (logits.size(0) == 0) return nats;
  if (const int64_t top = wanted.max().item<int64_t>(); top >= logits.size(1)) {
    throw InputError("cross_entropy_grad_: a target is {}; expected less than {}, the number of classes", top, logits.size(1));
  }
  const EntropyGradRows job{.logits = logits.mutable_data_ptr(),
                            .targets = wanted.const_data_ptr<int64_t>(),
                            .nats = nats.mutable_data_ptr<float>(),
                            .classes = logits.size(1),
                            .bf16 = logits.scalar_type() == torch::kBFloat16};
  at::parallel_for(0, logits.size(0), 1 + 16384 / job.classes, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(entropy_grad_rows)(job, begin, end);
  });
  return nats;
}

}  // namespace tessera::kernels
#endif
