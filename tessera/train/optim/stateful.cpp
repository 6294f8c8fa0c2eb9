#include "tessera/train/optim/stateful.h"

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

namespace tessera::train {

StatefulOptimizer::StatefulOptimizer(std::vector<Parameter> parameters) : Optimizer(std::move(parameters)) {
  slots_.resize(parameters_.size());
}

void StatefulOptimizer::update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) {
  torch::NoGradGuard no_grad;
  if (which.size() != grads.size()) {
    throw InputError("{} gradients for {} parameters; give one for each", grads.size(), which.size());
  }
  std::vector<torch::Tensor> dense;
  dense.reserve(grads.size());
  for (size_t k = 0; k < which.size(); ++k) {
    const auto& parameter = parameters_.at(which[k]);
    if (grads[k].sizes() != parameter.value.sizes()) {
      throw InputError("{} is {} and its gradient {}; expected one shape", parameter.name, tensor::shape_text(parameter.value.sizes()),
                       tensor::shape_text(grads[k].sizes()));
    }
    dense.push_back(grads[k].contiguous());
    ensure_state(which[k]);
  }
  move(which, dense, time);
}

void StatefulOptimizer::make_states(std::span<const size_t> which) {
  torch::NoGradGuard no_grad;
  for (const size_t i : which) ensure_state(i);
}

StateTensors StatefulOptimizer::state(size_t i) const {
  StateTensors named;
  if (slots_.at(i).empty()) return named;
  const auto names = layout(i);
  for (size_t k = 0; k < names.size(); ++k) named.emplace_back(names[k].name, slots_[i][k]);
  return named;
}

void StatefulOptimizer::load_state(size_t i, const StateTensors& state) {
  torch::NoGradGuard no_grad;
  prepare_load(i, state);
  const auto wanted = layout(i);
  const auto& name = parameters_.at(i).name;
  if (state.size() != wanted.size()) {
    throw InputError("{}: the saved optimizer state has {} tensors, this optimizer's has {}; resume with the optimizer it was saved by",
                     name, state.size(), wanted.size());
  }
  std::vector<torch::Tensor> fresh;
  for (const auto& slot : wanted) {
    const auto found = std::find_if(state.begin(), state.end(), [&](const auto& each) { return each.first == slot.name; });
    if (found == state.end()) {
      throw InputError("{}: the saved optimizer state has no {}; resume with the optimizer it was saved by", name, slot.name);
    }
    const auto& saved = found->second;
    if (saved.sizes() != torch::IntArrayRef(slot.shape) || saved.scalar_type() != slot.dtype) {
      throw InputError("{}: the saved {} is {} {}, expected {} {}; resume with the options it was saved by", name, slot.name,
                       torch::toString(saved.scalar_type()), tensor::shape_text(saved.sizes()), torch::toString(slot.dtype),
                       tensor::shape_text(slot.shape));
    }
    const auto device = slot.shape.empty() ? torch::Device(torch::kCPU) : parameters_[i].value.device();
    fresh.push_back(saved.to(device).contiguous());
  }
  slots_[i].resize(fresh.size());
  for (size_t k = 0; k < fresh.size(); ++k) {
    auto& slot = slots_[i][k];
    if (!slot.defined() || slot.sizes() != fresh[k].sizes() || slot.scalar_type() != fresh[k].scalar_type())
      slot = torch::empty_like(fresh[k]);
    slot.copy_(fresh[k]);
  }
}

int64_t StatefulOptimizer::state_bytes(size_t i) const {
  int64_t bytes = 0;
  for (const auto& slot : layout(i)) {
    bytes += c10::multiply_integers(slot.shape) * static_cast<int64_t>(c10::elementSize(slot.dtype));
  }
  return bytes;
}

int64_t StatefulOptimizer::count_update(size_t i) { return ++*slots_[i].front().data_ptr<int64_t>(); }

std::vector<torch::Tensor> StatefulOptimizer::fresh_state(size_t i) const {
  std::vector<torch::Tensor> state;
  for (const auto& slot : layout(i)) {
    const auto device = slot.shape.empty() ? torch::Device(torch::kCPU) : parameters_[i].value.device();
    state.push_back(torch::zeros(slot.shape, torch::dtype(slot.dtype).device(device)));
  }
  return state;
}

}  // namespace tessera::train
