#pragma once
// What a run will take, before it takes it: bytes by kind, products a step, time.

#include <algorithm>

#include "tessera/lm/config.h"
#include "tessera/train/language.h"
#include "tessera/train/optim/options.h"

namespace tessera::train {

// What lives during a step beside the weights and their states, in bytes.
struct StepMemory {
  bool per_layer = false;   // updates during the backward pass: one gradient at a time
  int64_t gradients = 0;    // of all that is trained; with per_layer the largest
  int64_t sums = 0;         // what micro-batches before the last leave: gradients, or their sums in the optimizer's space
  int64_t activations = 0;  // what the backward pass needs of the largest micro-batch; an estimate
  int64_t head = 0;         // chunks of logits and the gradients that the head's loss makes
  int64_t tied = 0;         // the head's gradient that waits for the embedding's, where both are one weight
  int64_t workspace = 0;    // of the update that takes the most: GaLore's search for a subspace
  int64_t updating = 0;     // the most of one gradient and the workspace of its update together

  // The head's loss lies on top of all activations. Then gradients take their place, and updates come at the end; or, with per_layer, each
  // update stands beside its gradient and, in the last block, nearly all activations.
  int64_t peak() const {
    if (per_layer) return sums + activations + std::max(head, tied + updating);
    return std::max(sums + activations + head, gradients + std::max(tied, workspace));
  }
};

struct PlanInputs {
  int64_t element = 4;  // bytes of a weight: 4, or 2 for bfloat16
  // Counted over what is trained, in bytes: see count_trained.
  int64_t trained = 0;  // elements
  int64_t factors = 0, masters = 0, averages = 0, optimizer = 0;
  StepMemory step = {};  // gradients, workspace and low-rank sums
  bool head = true;      // the head's weight is trained: its loss makes a gradient
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

struct TrainPlan : StepMemory {
  int64_t parameters = 0, trained = 0;
  int64_t steps = 0, tokens = 0;
  int64_t weights = 0, masters = 0, optimizer = 0, averages = 0;  // bytes
  int64_t program = 0;                                            // LibTorch and the program themselves
  int64_t spare = 0;                                              // freed memory that is kept for the next step (base/map_cache.h)
  double flops = 0;  // of one step of the last stage: forward and backward products, recomputation included
  int64_t bytes() const { return weights + masters + optimizer + averages + peak() + spare + program; }
};

TrainPlan plan_training(const lm::ModelConfig& config, const LanguageOptions& options, const PlanInputs& inputs);

// InputError where it takes more than `memory` bytes, with what helps; `rows`: the option that gives the rows of one pass, such as
// "--batch".
void check_fits(const TrainPlan& plan, int64_t memory, const std::string& rows);

// Products a second of this machine at the model's middle size, `rows` x width times width x ffn: the best of about 50 ms.
double product_rate(const lm::ModelConfig& config, int64_t rows, torch::Dtype dtype);

}  // namespace tessera::train
