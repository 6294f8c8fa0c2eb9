#pragma once
// What a run will take, before it takes it: bytes by kind, products a step, time.

#include <algorithm>

#include "tessera/lm/config.h"
#include "tessera/train/language.h"
#include "tessera/train/optim/options.h"

namespace tessera::train {

struct PlanInputs {
  int64_t element = 4;  // bytes of a weight: 4, or 2 for bfloat16
  // Counted over what is trained, in bytes: see count_trained.
  int64_t trained = 0;  // elements
  int64_t factors = 0, gradients = 0, masters = 0, averages = 0, optimizer = 0;
  bool head = true;  // the head's weight is trained: its loss makes a gradient
};

struct CountOptions {
  bool average = false;              // a moving average of the weights
  bool masters = true;               // float32 copies of bfloat16 weights
  bool per_layer = false;            // one gradient at a time
  bool accumulate_low_rank = false;  // and sums of micro-batches in the optimizer's space
};
// What training these parameters takes, beside the model's own weights. `weights`: the model's own, which are no factors hung on it.
PlanInputs count_trained(const std::vector<Parameter>& weights, const std::vector<Parameter>& factors, const OptimOptions& optim,
                         const CountOptions& how);

struct TrainPlan {
  int64_t parameters = 0, trained = 0;
  int64_t steps = 0, tokens = 0;
  int64_t weights = 0, gradients = 0, masters = 0, optimizer = 0, averages = 0;  // bytes
  int64_t activations =
      0;  // what the backward pass needs of the largest micro-batch; an estimate: peaks measured so far were 0.75 to 1.01 of bytes()
  int64_t head = 0;     // chunks of logits and the gradients that the head's loss makes
  int64_t program = 0;  // LibTorch and the program themselves
  double flops = 0;     // of one step of the last stage: forward and backward products, recomputation included
  // At the peak: gradients take the place of activations as the backward pass goes, so the larger of the two counts.
  int64_t bytes() const { return weights + masters + optimizer + averages + std::max(gradients, activations) + head + program; }
};

TrainPlan plan_training(const lm::ModelConfig& config, const LanguageOptions& options, const PlanInputs& inputs);

// Products a second of this machine at the model's middle size, `rows` x width times width x ffn: the best of about 50 ms.
double product_rate(const lm::ModelConfig& config, int64_t rows, torch::Dtype dtype);

}  // namespace tessera::train
