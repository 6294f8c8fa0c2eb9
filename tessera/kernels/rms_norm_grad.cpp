#include "tessera/kernels/rms_norm_grad.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/kernels/rms_norm.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/rms_norm_grad.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_NORM_GRAD_ROWS
#define TESSERA_KERNELS_NORM_GRAD_ROWS
namespace tessera::kernels {
struct NormGradRows {
  const void *x, *dy, *weight;
  void* dx;
  float* dweight;  // [width], added to
  int64_t width;
  float eps, offset;
  bool bf16;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

// {sum of x^2, sum of dy (weight + offset) x} of one row.
template <class T>
std::pair<float, float> norm_grad_sums(const T* x, const T* dy, const T* weight, int64_t n, float offset) {
  const hn::ScalableTag<float> full;
  auto squares = hn::Zero(full), products = hn::Zero(full);
  float rest_squares = 0.0F, rest_products = 0.0F;
  for_lanes(n, [&](auto d, int64_t i) {
    const auto a = load_lanes(d, x + i);
    const auto g = hn::Mul(load_lanes(d, dy + i), hn::Add(load_lanes(d, weight + i), hn::Set(d, offset)));
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<float>>) {
      squares = hn::MulAdd(a, a, squares);
      products = hn::MulAdd(g, a, products);
    } else {
      rest_squares += hn::GetLane(hn::Mul(a, a));
      rest_products += hn::GetLane(hn::Mul(g, a));
    }
  });
  return {rest_squares + hn::GetLane(hn::SumOfLanes(full, squares)), rest_products + hn::GetLane(hn::SumOfLanes(full, products))};
}

template <class T>
void norm_grad_rows_of(const NormGradRows& job, int64_t begin, int64_t end) {
  const auto* weight = static_cast<const T*>(job.weight);
  for (int64_t r = begin; r < end; ++r) {
    const T *x = static_cast<const T*>(job.x) + r * job.width, *dy = static_cast<const T*>(job.dy) + r * job.width;
    T* dx = static_cast<T*>(job.dx) + r * job.width;
    const auto [squares, products] = norm_grad_sums(x, dy, weight, job.width, job.offset);
    const auto width = static_cast<float>(job.width);
    const float inverse = 1.0F / std::sqrt(squares / width + job.eps);
    const float back = inverse * inverse * inverse * products / width;
    for_lanes(job.width, [&](auto d, int64_t i) {
      const auto a = load_lanes(d, x + i), slope = load_lanes(d, dy + i), by = hn::Set(d, inverse);
      const auto g = hn::Mul(slope, hn::Add(load_lanes(d, weight + i), hn::Set(d, job.offset)));
      store_lanes(d, hn::NegMulAdd(a, hn::Set(d, back), hn::Mul(g, by)), dx + i);
      hn::StoreU(hn::MulAdd(hn::Mul(slope, a), by, hn::LoadU(d, job.dweight + i)), d, job.dweight + i);
    });
  }
}

void norm_grad_rows(const NormGradRows& job, int64_t begin, int64_t end) {
  if (job.bf16) {
    norm_grad_rows_of<Bf16Bits>(job, begin, end);
  } else {
    norm_grad_rows_of<float>(job, begin, end);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(norm_grad_rows);

namespace {

struct RmsNormTrain : torch::autograd::Function<RmsNormTrain> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& x, const torch::Tensor& weight, double eps,
                               double offset) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["offset"] = offset;
    return rms_norm(x, weight, eps, offset);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, const torch::autograd::variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto dy = gradients[0].contiguous();
    const int64_t width = x.size(-1), rows = x.numel() / width;
    constexpr int64_t blocks = 16;  // each sums its rows' dweight: the order is the same for every number of threads
    const auto eps = static_cast<float>(ctx->saved_data["eps"].toDouble()),
               offset = static_cast<float>(ctx->saved_data["offset"].toDouble());
    auto dx = torch::empty_like(x);
    auto dweight = torch::zeros({blocks, width}, torch::kFloat32);
    at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const NormGradRows job{.x = x.const_data_ptr(),
                               .dy = dy.const_data_ptr(),
                               .weight = weight.const_data_ptr(),
                               .dx = dx.mutable_data_ptr(),
                               .dweight = dweight.mutable_data_ptr<float>() + b * width,
                               .width = width,
                               .eps = eps,
                               .offset = offset,
                               .bf16 = x.scalar_type() == torch::kBFloat16};
        HWY_DYNAMIC_DISPATCH(norm_grad_rows)(job, b * rows / blocks, (b + 1) * rows / blocks);
      }
    });
    return {dx, dweight.sum(0).to(weight.scalar_type()), {}, {}};
  }
};

}  // namespace

bool rms_norm_train_takes(const torch::Tensor& x, const torch::Tensor& weight) {
  return x.device().is_cpu() && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16) &&
         x.scalar_type() == weight.scalar_type() && x.dim() >= 1 && x.numel() > 0 && x.is_contiguous() && weight.is_contiguous();
}

torch::Tensor rms_norm_train(const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset) {
  if (!rms_norm_train_takes(x, weight) || weight.dim() != 1 || weight.size(0) != x.size(-1)) {
    throw InputError("rms_norm_train of {} with a gain of {}; expected dense float32 or bfloat16 on the CPU and a gain of its width",
                     tensor::shape_text(x.sizes()), tensor::shape_text(weight.sizes()));
  }
  return RmsNormTrain::apply(x, weight, eps, offset);
}

}  // namespace tessera::kernels
#endif
