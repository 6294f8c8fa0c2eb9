#pragma once
// What training really takes: some steps of a random model on one batch of random tokens, beside the plan.

#include <vector>

#include "tessera/lm/config.h"
#include "tessera/train/optim/options.h"
#include "tessera/train/plan.h"

namespace tessera::galore {

struct MeasureOptions {
  lm::ModelConfig config;
  train::OptimOptions optim;
  torch::Dtype dtype = torch::kFloat32;  // of weights and gradients; or bfloat16
  bool masters = true, per_layer = false, recompute = false;
  int64_t batch = 4, seq = 256;  // rows, and tokens of each
  int64_t steps = 3;
  double rate = 1e-3;
};

struct Measured {
  int64_t baseline = 0;  // bytes resident before the model, when a small one has been trained: program, libraries, their workspaces
  int64_t peak = 0;      // at most, until the end of the last step
  std::vector<double> losses, seconds;  // nats a token and time, of each step
  double subspace_seconds = 0.0;
};

// The plan alone: nothing of the model's size is allocated. Throws InputError as make_optimizer.
train::TrainPlan plan_measured(const MeasureOptions& options);
// Trains and measures; `stepped` is called after each step with its number and loss. The peak is the process's, so each measurement needs a
// process of its own. Throws WorkError when a loss or gradient is not finite.
Measured measure_training(const MeasureOptions& options, const std::function<void(int64_t step, double loss)>& stepped = {});

}  // namespace tessera::galore
