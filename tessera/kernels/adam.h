#pragma once
// Adam's elementwise part for many tensors in one pass over memory: moments, direction and move together. As LibTorch operations the same
// takes seven passes and three temporaries a tensor.

#include <torch/torch.h>

#include <span>

namespace tessera::kernels {

// m <- m + (1 - beta1)(g - m); v <- beta2 v + (1 - beta2) g^2; the direction is m / (root_scale sqrt(v) + eps).
struct AdamRule {
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
};

// One tensor's share. All tensors are dense, on one device, of one shape; value and grad float32 or bfloat16, both moments of one of the
// two.
struct AdamItem {
  torch::Tensor value;  // moved in place; undefined: nothing moves, and the direction overwrites grad
  torch::Tensor grad;
  torch::Tensor exp_avg, exp_avg_sq;  // m, v
  double root_scale = 1.0;  // 1 / sqrt(1 - beta2^t): Kingma and Ba's corrected second moment; 1: eps stands beside the uncorrected one
  double step = 0.0;        // value -= step * direction
  double keep = 1.0;        // decoupled decay: value *= keep, before the move, or behind it with keep_after
  bool keep_after = false;
};

// Moves every item. Elementwise: any split into calls and any number of threads give the same bits. Moves 28 bytes an element in float32.
// Throws InputError when shapes or dtypes of an item disagree.
void adam_step(std::span<const AdamItem> items, const AdamRule& rule);

}  // namespace tessera::kernels
