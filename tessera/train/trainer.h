#pragma once
// One optimizer step after another, exactly: accumulation with one denominator, clipping, non-finite checks, masters, moving averages, and
// a state that can be saved and continued bit for bit.

#include <memory>
#include <optional>

#include "tessera/train/across_ranks.h"
#include "tessera/train/schedule.h"
#include "tessera/train/task.h"

namespace tessera::train {

struct TrainerOptions {
  std::function<std::unique_ptr<Optimizer>(std::vector<Parameter>)> optimizer;  // makes the rule over the (master) parameters
  Schedule schedule;
  double clip = 1.0;  // largest global norm of the gradient; 0: no clipping
  double ema = 0.0;   // decay of the moving average of the weights, below 1; 0: none
  // Move each parameter as soon as its gradient is ready in the backward pass and free the gradient: the peak is the largest single one.
  // Refused with clipping, and with several micro-batches unless accumulate_low_rank: both need all gradients first.
  bool per_layer = false;
  // With per_layer: add up the gradients of micro-batches in the optimizer's own smaller space, where it has one (GaLore).
  bool accumulate_low_rank = false;
  // Keep float32 copies of bfloat16 weights, which the rule moves: an update smaller than 1/256 of a weight is lost without them.
  bool masters = true;
  // Data parallelism: each rank's task gives its own share of every step's batches. Gradients are summed while the backward pass runs,
  // every rank keeps the optimizer states of its share of the parameters. Null: this process alone.
  std::shared_ptr<Collective> ranks = nullptr;
};

struct StepReport {
  int64_t step = 0;
  double loss = 0.0;      // mean of the counted terms of this step, over all micro-batches
  double smoothed = 0.0;  // its moving average, decay 0.98, corrected for the start
  double rate = 0.0;      // learning rate
  double norm = 0.0;      // global norm of the gradient before clipping; NaN with per_layer
  int64_t counted = 0;
  int64_t tokens = 0;  // seen by the run so far
};

class Trainer {
 public:
  // Throws InputError for options that exclude each other and schedules out of range.
  Trainer(Task task, TrainerOptions options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // One optimizer step. Throws WorkError "step 12: the loss is nan ..." or "... the gradient of NAME ..." when one is not finite; weights,
  // optimizer and position are then those of the step before (with per_layer some weights have moved: go back to a checkpoint).
  StepReport step();

  int64_t steps_done() const { return step_; }
  int64_t tokens_seen() const { return tokens_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  const Task& task() const { return task_; }
  // False after a failed step left the weights between two steps, or this rank without the others: there is nothing to save then.
  bool whole() const { return whole_; }

  // Writes model, trainer_state.json, optimizer.safetensors and rng.safetensors into the existing empty `folder`. Of several ranks rank 0
  // writes, between share_state() and unshare_state(), which all call.
  void write(const std::filesystem::path& folder) const;
  void share_state();
  void unshare_state();
  // Whether this process writes: rank 0, or alone.
  bool writes() const { return !across_ || across_->ranks().rank() == 0; }
  // True on every rank when it is true on one of them.
  bool any_rank(bool here) const { return across_ ? across_->sum(std::vector<int64_t>{here ? 1 : 0})[0] > 0 : here; }

  // Continues from what write() wrote. Throws InputError naming what is missing or does not fit.
  void read(const std::filesystem::path& folder);

  // Runs `work` with the averaged weights in the model, then puts the trained ones back; without ema it just runs.
  void with_averaged_weights(const std::function<void()>& work);

  // Bytes held for training beside the model: masters, optimizer states, averages.
  int64_t state_bytes() const;

 private:
  class UpdateHook;
  StepReport take_step();
  void check_options() const;
  void make_masters();
  void hook_updates();
  double accumulate(std::vector<Batch>& batches, int64_t counted);
  double finish_sum(double sum, double share);
  void update_all(StepReport& report);
  double checked_norm(std::span<const torch::Tensor> all) const;
  void update_one(size_t i);
  bool has_master(size_t i) const { return !masters_[i].is_alias_of(task_.parameters[i].value); }
  void copy_master(size_t i);
  void average();
  void zero_gradients();
  std::vector<torch::Tensor> gradients() const;
  void write_tensors(const std::filesystem::path& folder) const;
  void read_tensors(const std::filesystem::path& folder);

  Task task_;
  TrainerOptions options_;
  std::vector<torch::Tensor> masters_;   // float32; the model's own tensor where that is float32, and without masters
  std::vector<torch::Tensor> averages_;  // empty without ema
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<AcrossRanks> across_;  // null alone
  int64_t step_ = 0, tokens_ = 0;
  double smoothed_ = 0.0;  // uncorrected
  nlohmann::ordered_json position_;
  StepTime time_;                          // of the step in progress, for updates inside the backward pass
  std::optional<std::string> not_finite_;  // what an update inside the backward pass refused
  bool whole_ = true;
};

}  // namespace tessera::train
