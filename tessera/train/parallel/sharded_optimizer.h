#pragma once
// ZeRO-1 (Rajbhandari et al., arXiv 1910.02054, section 5.1): every parameter's optimizer state lives on one rank, which alone updates it.

#include "tessera/train/optimizer.h"
#include "tessera/train/parallel/collective.h"

namespace tessera::train {

// Which of `ranks` owns each parameter: largest states first, each to the rank that holds the fewest bytes so far. bytes[i] is what the
// state of parameter i takes. A function of its arguments alone.
std::vector<int64_t> balanced_owners(const std::vector<int64_t>& bytes, int64_t ranks);

// Wraps an optimizer over all parameters and lets it see only those that this rank owns. Values are equal, bit for bit, on all ranks after
// every update, and equal to those of the wrapped optimizer alone.
class ShardedOptimizer : public Optimizer {
 public:
  ShardedOptimizer(std::unique_ptr<Optimizer> whole, std::shared_ptr<Collective> ranks);

  const std::vector<int64_t>& owners() const { return owners_; }

  // Every rank calls it with the same `which`; grads of parameters that another rank owns are not read and may be undefined.
  void update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) override;

  // Of the parameters that this rank owns.
  void make_states(std::span<const size_t> which) override;

  // Empty for parameters that another rank owns, except on rank 0 between gather_states() and release_states().
  StateTensors state(size_t i) const override;
  // Of a parameter that another rank owns: does nothing, so every rank may load a whole checkpoint.
  void load_state(size_t i, const StateTensors& state) override;
  int64_t state_bytes(size_t i) const override;                         // 0 for parameters that another rank owns
  int64_t workspace_bytes(size_t i, torch::Dtype grad) const override;  // and this

  // Every rank calls it before a save: rank 0 then has all states, beside its own, until release_states().
  void gather_states();
  void release_states() { gathered_.clear(); }

 private:
  bool mine(size_t i) const { return owners_[i] == ranks_->rank(); }
  void share_values(std::span<const size_t> which);
  torch::Tensor exchange_buffer(const std::vector<int64_t>& sizes, torch::Dtype dtype);  // [sum of sizes], kept from call to call
  void send_state(size_t i);
  StateTensors receive_state(size_t i);

  std::unique_ptr<Optimizer> whole_;
  std::shared_ptr<Collective> ranks_;
  std::vector<int64_t> owners_;
  torch::Tensor exchange_;              // values on their way
  std::vector<StateTensors> gathered_;  // rank 0, while a checkpoint is written
};

}  // namespace tessera::train
