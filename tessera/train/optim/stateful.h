#pragma once
// What all optimizers here share: a state that is a fixed list of tensors per parameter, its making, counting, saving and loading.

#include "tessera/train/optimizer.h"

namespace tessera::train {

// One tensor of a parameter's state, known before it is made.
struct StateSlot {
  std::string name;
  std::vector<int64_t> shape;  // {}: a 0-d tensor, always on the CPU
  torch::Dtype dtype = torch::kFloat32;
};

// The number of updates a parameter has had: int64, 0-d.
inline StateSlot step_slot() { return {"step", {}, torch::kInt64}; }

class StatefulOptimizer : public Optimizer {
 public:
  // Checks that every gradient fits its parameter (InputError, naming it), makes what states are missing and calls move.
  void update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) final;
  void make_states(std::span<const size_t> which) final;
  StateTensors state(size_t i) const final;
  void load_state(size_t i, const StateTensors& state) final;
  int64_t state_bytes(size_t i) const final;
  // The state of parameter i, from its shape alone. New tensors are zero.
  virtual std::vector<StateSlot> layout(size_t i) const = 0;

 protected:
  explicit StatefulOptimizer(std::vector<Parameter> parameters);

  // Moves parameters[which[k]] by grads[k], dense; their states exist. Calls count_update once for each.
  virtual void move(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) = 0;
  // Called before a saved state is put back, for a layout that depends on it. Throws InputError for what it cannot take.
  virtual void prepare_load(size_t /* i */, const StateTensors& /* state */) {}

  std::vector<torch::Tensor>& slots(size_t i) { return slots_[i]; }
  const std::vector<torch::Tensor>& slots(size_t i) const { return slots_[i]; }
  std::vector<torch::Tensor> fresh_state(size_t i) const;  // as layout(i) says, zero
  void ensure_state(size_t i) {
    if (slots_[i].empty()) slots_[i] = fresh_state(i);
  }
  // Adds one to the slot "step", which is the first, and returns it.
  int64_t count_update(size_t i);

 private:
  std::vector<std::vector<torch::Tensor>> slots_;  // empty before a parameter's first update
};

}  // namespace tessera::train
