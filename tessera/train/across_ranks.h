#pragma once
// The trainer's side of data parallelism: one denominator, one gradient, one decision on all ranks.

#include <memory>
#include <optional>

#include "tessera/train/parallel/gradient_reducer.h"
#include "tessera/train/parallel/sharded_optimizer.h"

namespace tessera::train {

class AcrossRanks {
 public:
  // Takes the leaves' hooks; wraps `optimizer` into one with sharded states (ZeRO-1).
  AcrossRanks(std::vector<torch::Tensor> leaves, std::unique_ptr<Optimizer>& optimizer, std::shared_ptr<Collective> ranks);

  // Gives the leaves of rank 0 to all ranks: called before anything is made from them.
  static void share_start(const std::vector<Parameter>& parameters, Collective& ranks);

  // Sums over ranks, the same on all of them.
  std::vector<int64_t> sum(const std::vector<int64_t>& values) const;
  double sum(double value) const;  // within about 2^-40 of the sum; not finite when any rank's is not

  GradientReducer& reducer() { return reducer_; }
  // Norm of the summed gradient, of which this rank holds what it owns.
  double norm(std::span<const torch::Tensor> gradients) const;
  // Every rank calls it before rank 0 writes the states, and after it.
  void gather_states() { sharded_.gather_states(); }
  void release_states() { sharded_.release_states(); }
  Collective& ranks() const { return *ranks_; }

 private:
  std::shared_ptr<Collective> ranks_;
  ShardedOptimizer& sharded_;
  GradientReducer reducer_;
};

}  // namespace tessera::train
