#include "tessera/kernels/adam.h"

#include <ATen/Parallel.h>

#include <vector>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/adam.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_ADAM_PIECE
#define TESSERA_KERNELS_ADAM_PIECE
namespace tessera::kernels {
// A run of elements of one tensor, small enough that threads share the work evenly.
struct AdamPiece {
  void *value, *grad, *m, *v;  // value: null when the direction goes to grad
  int64_t n;
  bool value_bf16, grad_bf16, moments_bf16, keep_after;
  float new1, beta2, new2, eps, root_scale, step, keep;  // new1 = 1 - beta1, new2 = 1 - beta2
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

template <class V, class G, class M>
void adam_piece_of(const AdamPiece& job) {
  auto* value = static_cast<V*>(job.value);
  auto* grad = static_cast<G*>(job.grad);
  auto *first = static_cast<M*>(job.m), *second = static_cast<M*>(job.v);
  for_lanes(job.n, [&](auto d, int64_t i) {
    const auto g = load_lanes(d, grad + i), old = load_lanes(d, first + i);
    const auto m = hn::MulAdd(hn::Set(d, job.new1), hn::Sub(g, old), old);
    const auto v = hn::MulAdd(hn::Mul(hn::Set(d, job.new2), g), g, hn::Mul(hn::Set(d, job.beta2), load_lanes(d, second + i)));
    store_lanes(d, m, first + i);
    store_lanes(d, v, second + i);
    const auto direction = hn::Div(m, hn::MulAdd(hn::Sqrt(v), hn::Set(d, job.root_scale), hn::Set(d, job.eps)));
    if (value == nullptr) {
      store_lanes(d, direction, grad + i);
      return;
    }
    const auto keep = hn::Set(d, job.keep), step = hn::Set(d, job.step), was = load_lanes(d, value + i);
    const auto moved =
        job.keep_after ? hn::Mul(hn::NegMulAdd(step, direction, was), keep) : hn::NegMulAdd(step, direction, hn::Mul(was, keep));
    store_lanes(d, moved, value + i);
  });
}

template <class V, class G>
void adam_piece_by_moments(const AdamPiece& job) {
  if (job.moments_bf16) {
    adam_piece_of<V, G, Bf16Bits>(job);
  } else {
    adam_piece_of<V, G, float>(job);
  }
}

void adam_piece(const AdamPiece& job) {
  if (job.value_bf16) {
    job.grad_bf16 ? adam_piece_by_moments<Bf16Bits, Bf16Bits>(job) : adam_piece_by_moments<Bf16Bits, float>(job);
  } else {
    job.grad_bf16 ? adam_piece_by_moments<float, Bf16Bits>(job) : adam_piece_by_moments<float, float>(job);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(adam_piece);

static void check_adam_item(const AdamItem& item) {
  const auto float_kind = [&](const torch::Tensor& t) {
    return t.defined() && t.device() == item.grad.device() && t.is_contiguous() &&
           (t.scalar_type() == torch::kFloat32 || t.scalar_type() == torch::kBFloat16);
  };
  for (const auto* each : {&item.grad, &item.exp_avg, &item.exp_avg_sq, item.value.defined() ? &item.value : &item.grad}) {
    if (!float_kind(*each) || each->sizes() != item.grad.sizes()) {
      throw InputError("adam_step of a gradient {} and a tensor {}; expected dense float32 or bfloat16 tensors of one shape on one device",
                       item.grad.defined() ? tensor::shape_text(item.grad.sizes()) : "(none)",
                       each->defined() ? tensor::shape_text(each->sizes()) : "(none)");
    }
  }
  if (item.exp_avg.scalar_type() != item.exp_avg_sq.scalar_type()) {
    throw InputError("adam_step with moments of two dtypes; expected one");
  }
}

// The same on another device than the CPU, as LibTorch operations.
static void adam_item_elsewhere(const AdamItem& item, const AdamRule& rule) {
  torch::NoGradGuard no_grad;
  const auto g = item.grad.to(torch::kFloat32);
  const auto m = item.exp_avg.to(torch::kFloat32).lerp(g, 1.0 - rule.beta1);
  const auto v = (item.exp_avg_sq.to(torch::kFloat32) * rule.beta2).addcmul_(g, g, 1.0 - rule.beta2);
  const auto direction = m / (v.sqrt() * item.root_scale + rule.eps);
  item.exp_avg.copy_(m);
  item.exp_avg_sq.copy_(v);
  if (!item.value.defined()) {
    item.grad.copy_(direction);
    return;
  }
  auto value = item.value.to(torch::kFloat32) * (item.keep_after ? 1.0 : item.keep);
  value.sub_(direction, item.step);
  item.value.copy_(item.keep_after ? value.mul_(item.keep) : value);
}

void adam_step(std::span<const AdamItem> items, const AdamRule& rule) {
  constexpr int64_t run = 1 << 14;  // elements a piece
  const auto bf16 = [](const torch::Tensor& t) { return t.defined() && t.scalar_type() == torch::kBFloat16; };
  std::vector<AdamPiece> pieces;
  for (const auto& item : items) {
    check_adam_item(item);
    if (!item.grad.is_cpu()) {
      adam_item_elsewhere(item, rule);
      continue;
    }
    AdamPiece piece{.value = nullptr,
                    .grad = nullptr,
                    .m = nullptr,
                    .v = nullptr,
                    .n = 0,
                    .value_bf16 = bf16(item.value),
                    .grad_bf16 = bf16(item.grad),
                    .moments_bf16 = bf16(item.exp_avg),
                    .keep_after = item.keep_after,
                    .new1 = static_cast<float>(1.0 - rule.beta1),
                    .beta2 = static_cast<float>(rule.beta2),
                    .new2 = static_cast<float>(1.0 - rule.beta2),
                    .eps = static_cast<float>(rule.eps),
                    .root_scale = static_cast<float>(item.root_scale),
                    .step = static_cast<float>(item.step),
                    .keep = static_cast<float>(item.keep)};
    const auto at = [](const torch::Tensor& t, int64_t i) {
      return t.defined() ? static_cast<char*>(t.mutable_data_ptr()) + i * t.element_size() : nullptr;
    };
    for (int64_t i = 0; i < item.grad.numel(); i += run) {
      piece.value = at(item.value, i);
      piece.grad = at(item.grad, i);
      piece.m = at(item.exp_avg, i);
      piece.v = at(item.exp_avg_sq, i);
      piece.n = std::min(run, item.grad.numel() - i);
      pieces.push_back(piece);
    }
  }
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) HWY_DYNAMIC_DISPATCH(adam_piece)(pieces[i]);
  });
}

}  // namespace tessera::kernels
#endif
