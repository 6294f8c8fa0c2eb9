#pragma once
// An update rule: what one tensor's gradient and state make of its step. RuleOptimizer applies one to whole parameters, GaLore to their
// projected gradients.

#include "tessera/train/optim/stateful.h"

namespace tessera::train {

// One tensor's turn. state holds the tensors of layout(), in order.
struct RuleItem {
  torch::Tensor value;  // float32 or bfloat16
  torch::Tensor grad;   // of the shape that layout() was given: value's, or the projected gradient's
  std::span<torch::Tensor> state;
  int64_t t = 1;  // the number of this update of the tensor, from 1
  double lr = 0.0;
  double weight_decay = 0.0;
};

// value -= factor * direction is the step without decay.
struct RuleStep {
  torch::Tensor direction;  // float32, the gradient's shape
  double factor = 0.0;
  double keep = 1.0;        // decoupled decay: value *= keep ...
  bool keep_after = false;  // ... behind the move, else before it
};

class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  // The state of a tensor of this shape, without the step; new tensors are zero.
  virtual std::vector<StateSlot> layout(const std::vector<int64_t>& shape) const = 0;
  // Moves the state and says the step. May take item.grad's memory for the direction where `owned`.
  virtual RuleStep step(const RuleItem& item, bool owned) const = 0;
  // Moves the values. By default one step() at a time; a rule with a kernel does all in one pass.
  virtual void move(std::span<const RuleItem> items) const;
  // What step() of a float32 gradient that it owns takes while it runs, the direction included where that is not the gradient's memory; and
  // what move() of a whole tensor takes. Bytes, from shapes alone.
  virtual int64_t step_bytes(const std::vector<int64_t>& shape) const = 0;
  virtual int64_t move_bytes(const std::vector<int64_t>& shape, torch::Dtype grad, torch::Dtype value) const;
  // The moments as float32 (m, v), for rotation into another basis; empty where a rule has none that could be rotated.
  virtual std::vector<torch::Tensor> moments(std::span<torch::Tensor> /* state */) const { return {}; }
  virtual void set_moments(std::span<torch::Tensor> /* state */, const std::vector<torch::Tensor>& /* moments */) const {}
};

// What a rule may write its direction over: the gradient itself where it is `owned` and float32, else a float32 copy.
torch::Tensor direction_over(const RuleItem& item, bool owned);

// value <- the step, decay included.
void take_step(const torch::Tensor& value, const RuleStep& step);

// One rule for all parameters, or another for the matrices (Muon).
class RuleOptimizer : public StatefulOptimizer {
 public:
  // matrix_rule may be null: then `rule` moves all.
  RuleOptimizer(std::vector<Parameter> parameters, std::unique_ptr<UpdateRule> rule, std::unique_ptr<UpdateRule> matrix_rule = nullptr);

  std::vector<StateSlot> layout(size_t i) const override;
  int64_t workspace_bytes(size_t i, torch::Dtype grad) const override;

 protected:
  void move(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) override;

 private:
  const UpdateRule& rule_of(size_t i) const { return matrix_rule_ && parameters_[i].matrix ? *matrix_rule_ : *rule_; }
  std::unique_ptr<UpdateRule> rule_, matrix_rule_;
};

// Decoupled decay before the move.
inline double kept_share(const RuleItem& item) { return 1.0 - item.lr * item.weight_decay; }

}  // namespace tessera::train
