#pragma once
// What every optimizer is to the rest of train/: a rule that moves parameters by their gradients and keeps one state a parameter.
// The loop, updates during the backward pass, sharded states (ZeRO-1) and checkpoints know optimizers through this interface alone.

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tessera::train {

// One tensor that is trained. `value` is what the optimizer moves: float32 (the master copy when the model itself is bfloat16).
struct Parameter {
  std::string name;           // the checkpoint's name: model.layers.0.self_attn.q_proj.weight
  torch::Tensor value;        // any shape, contiguous, CPU or CUDA
  double lr_scale = 1.0;      // multiplies the schedule's rate
  double weight_decay = 0.0;  // decoupled, a step: value -= lr * lr_scale * weight_decay * value
  bool matrix = false;        // a weight that matrix-only rules (GaLore, Muon) treat: 2-D, a layer's, neither embedding nor head
};

// The time and rate of one update.
struct StepTime {
  int64_t step = 1;  // from 1: the number of this optimizer step
  double lr = 0.0;   // the schedule's rate at this step, before lr_scale
};

// Named tensors of one parameter's state: what a checkpoint writes as "<parameter>/<name>". Scalars are 0-d tensors.
using StateTensors = std::vector<std::pair<std::string, torch::Tensor>>;

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Moves parameters[i] by grads[i] (same shape, float32 or bfloat16, finite: the loop has checked) for every i of `which`. A state is
  // made when its parameter is first moved. Calls for disjoint `which` at one step equal one call for all of them, bit for bit: that is
  // what updates during the backward pass and sharded states stand on. One thread calls.
  virtual void update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) = 0;

  // Whether it adds up gradients of micro-batches in a space smaller than theirs: accumulate() takes one, for one parameter, and
  // update_accumulated() moves every parameter that had some by their sum. Bytes of the sum of parameter i, between the two.
  virtual bool accumulates() const { return false; }
  virtual void accumulate(size_t /* i */, const torch::Tensor& /* grad */) {}
  virtual void update_accumulated(const StepTime& /* time */) {}
  virtual int64_t accumulated_bytes(size_t /* i */) const { return 0; }

  // Makes the states of these parameters now: made at the first update, they would lie between that step's temporary tensors and leave
  // holes that later steps cannot use.
  virtual void make_states(std::span<const size_t> /* which */) {}

  // The state of parameter i, empty before it is made; tensors share memory with the optimizer.
  virtual StateTensors state(size_t i) const = 0;
  // Puts a saved state back; the next update continues bit for bit. Throws InputError naming the parameter when names, shapes or dtypes
  // differ.
  virtual void load_state(size_t i, const StateTensors& state) = 0;

  // Bytes that the state of parameter i takes once it is made, from its shape alone: exact, nothing is allocated.
  virtual int64_t state_bytes(size_t i) const = 0;

  // Bytes that moving parameter i by a gradient of this dtype takes beside its state while it runs, at most, from shapes alone: what a rule
  // computes with, and GaLore's search for a subspace.
  virtual int64_t workspace_bytes(size_t /* i */, torch::Dtype /* grad */) const { return 0; }

  const std::vector<Parameter>& parameters() const { return parameters_; }

 protected:
  explicit Optimizer(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {}
  std::vector<Parameter> parameters_;
};

}  // namespace tessera::train
