#pragma once
// GaLore (arXiv 2403.03507): any update rule inside a low-rank subspace of each matrix's gradient, refreshed every `gap` updates.

#include "tessera/train/optim/projector.h"
#include "tessera/train/optim/rule.h"

namespace tessera::train {

struct GaLoreOptions {
  ProjectorOptions projector = {};
  int64_t gap = 200;    // T
  double scale = 0.25;  // alpha
  OnSwitch on_switch = OnSwitch::keep;
  double rank_energy = 0.0;  // 0: the projector's rank; else the fewest directions with this share of the gradient's squares, at most that
  bool stagger = false;      // refreshes of different matrices fall on different steps
  bool compat = false;  // the coordinates of the update are rounded to bfloat16 first, as the published 8-bit code does to bfloat16 weights
};

// What the subspaces cost and did so far.
struct SubspaceStats {
  int64_t refreshes = 0;  // bases found, one a matrix and refresh
  int64_t kept = 0;       // refreshes that kept the old basis: a gradient that was not finite, or no convergence
  double seconds = 0.0;   // spent finding bases
  double overlap = 0.0;   // mean overlap of a new basis with the one it replaced, over `switches`
  int64_t switches = 0;
  double rank = 0.0;  // mean over refreshes
};

// One update of a matrix W, t from 1: every gap-th P from the gradient G (t = 1, 1 + gap, ...); R = project(G); the rule's direction N and
// factor in that space; W -= factor scale back(N), in one product; then the rule's decay. Parameters that are no matrices take the plain
// rule. State of a matrix: step, with rank_energy rank (0 before the first subspace), projector (ortho_0 and/or ortho_1, with _scale and
// _zero in int8 and int4), the rule's tensors of R's shape. A rank that changes resizes them: the first coordinates keep their moments, new
// ones begin with a mean of 0 and the last one's mean square. Before a refresh has chosen a rank, layout() is that of the most.
class GaLore : public StatefulOptimizer {
 public:
  // Throws InputError, listing names, when no parameter is a matrix, and when a parameter marked as one has fewer than two dimensions.
  GaLore(std::vector<Parameter> parameters, std::unique_ptr<UpdateRule> rule, const GaLoreOptions& options);
  const SubspaceStats& stats() const { return stats_; }
  // Names of the matrices whose smaller side is below the rank, which is clipped there.
  std::vector<std::string> clipped() const;

  std::vector<StateSlot> layout(size_t i) const override;
  int64_t workspace_bytes(size_t i, torch::Dtype grad) const override;

  // In the subspace: the first micro-batch's gradient finds the basis where one is due, the others are projected on it. Exact for what lies
  // in the subspace, as projection is linear.
  bool accumulates() const override { return true; }
  void accumulate(size_t i, const torch::Tensor& grad) override;
  void update_accumulated(const StepTime& time) override;
  int64_t accumulated_bytes(size_t i) const override;

 protected:
  void move(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) override;
  void prepare_load(size_t i, const StateTensors& state) override;

 private:
  ProjectorOptions projector_of(size_t i) const;
  std::vector<int64_t> small_shape(size_t i) const;  // of the projected gradient
  std::vector<StateSlot> basis_layout(size_t i) const;
  size_t basis_begin() const { return options_.rank_energy > 0.0 ? 2 : 1; }  // among the slots
  std::span<torch::Tensor> rule_state(size_t i) { return std::span(slots(i)).subspan(basis_begin() + basis_layout(i).size()); }
  Subspace subspace_of(size_t i) const;
  bool is_due(size_t i, int64_t t) const;
  bool refresh(size_t i, const torch::Tensor& grad, int64_t t);
  void store(size_t i, const Subspace& fresh);
  int64_t narrow_to_energy(size_t i, const torch::Tensor& grad, Subspace& fresh);
  void resize(size_t i, int64_t rank);
  std::vector<torch::Tensor> rotated_moments(size_t i, const Subspace& old, const Subspace& fresh);
  bool begin_update(size_t i, const torch::Tensor& grad);
  void finish_update(size_t i, const Subspace& subspace, torch::Tensor projected, const StepTime& time);
  int64_t refresh_bytes(size_t i, torch::Dtype grad) const;
  int64_t finish_bytes(size_t i, torch::Dtype grad) const;
  RuleItem plain_item(size_t i, const torch::Tensor& grad, const StepTime& time);

  std::unique_ptr<UpdateRule> rule_;
  GaLoreOptions options_;
  std::vector<int64_t> order_;  // of each parameter among the matrices
  std::vector<int64_t> ranks_;  // of each parameter's subspace
  int64_t matrices_ = 0;
  SubspaceStats stats_;
  std::vector<torch::Tensor> sums_;  // of this update's micro-batches: projected gradients, plain ones of parameters that are no matrices
};

// What the optimizer's subspaces did; null for one that has none.
const SubspaceStats* subspace_stats(const Optimizer& optimizer);

}  // namespace tessera::train
