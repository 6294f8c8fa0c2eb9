#include "tessera/train/optim/galore.h"

#include <fmt/ranges.h>

#include <chrono>

#include "tessera/base/error.h"

namespace tessera::train {

GaLore::GaLore(std::vector<Parameter> parameters, std::unique_ptr<UpdateRule> rule, const GaLoreOptions& options)
    : StatefulOptimizer(std::move(parameters)), rule_(std::move(rule)), options_(options) {
  std::vector<std::string> names;
  for (const auto& parameter : parameters_) {
    order_.push_back(matrices_);
    names.push_back(parameter.name);
    if (!parameter.matrix) continue;
    ++matrices_;
    if (parameter.value.dim() < 2) {
      throw InputError("{} has {} dimension(s) and cannot be projected; mark only matrices for GaLore", parameter.name,
                       parameter.value.dim());
    }
  }
  if (matrices_ == 0) {
    if (names.size() > 20) names.resize(20);
    throw InputError("GaLore projects matrices and none is marked among {}; choose other targets", fmt::join(names, ", "));
  }
}

std::vector<std::string> GaLore::clipped() const {
  std::vector<std::string> names;
  for (const auto& parameter : parameters_) {
    if (!parameter.matrix) continue;
    const auto sizes = parameter.value.sizes();
    if (*std::min_element(sizes.begin(), sizes.end()) < options_.projector.rank) names.push_back(parameter.name);
  }
  return names;
}

std::vector<StateSlot> GaLore::basis_layout(size_t i) const {
  const auto shape = parameters_.at(i).value.sizes().vec(), small = projected_shape(options_.projector, shape);
  std::vector<StateSlot> slots;
  for (const int64_t axis : projected_axes(options_.projector, shape)) {
    for (auto& slot : basis_slots("ortho_" + std::to_string(axis), {shape[axis], small[axis]}, options_.projector.dtype)) {
      slots.push_back(std::move(slot));
    }
  }
  return slots;
}

std::vector<StateSlot> GaLore::layout(size_t i) const {
  const auto& parameter = parameters_.at(i);
  const auto shape = parameter.value.sizes().vec();
  std::vector<StateSlot> slots{step_slot()};
  if (parameter.matrix) {
    for (auto& slot : basis_layout(i)) slots.push_back(std::move(slot));
  }
  for (auto& slot : rule_->layout(parameter.matrix ? projected_shape(options_.projector, shape) : shape)) slots.push_back(std::move(slot));
  return slots;
}

Subspace GaLore::subspace_of(size_t i) const {
  const auto shape = parameters_[i].value.sizes().vec(), small = projected_shape(options_.projector, shape);
  Subspace subspace{.axes = projected_axes(options_.projector, shape), .basis = {}};
  const size_t each = (basis_layout(i).size()) / subspace.axes.size();
  const auto state = std::span<const torch::Tensor>(slots(i)).subspan(1);
  for (size_t k = 0; k < subspace.axes.size(); ++k) {
    const int64_t axis = subspace.axes[k];
    subspace.basis.push_back(read_basis({shape[axis], small[axis]}, options_.projector.dtype, state.subspan(k * each, each)));
  }
  return subspace;
}

// Update t looks for a new subspace: 1, 1 + T, 1 + 2T ...; staggered ones move by their share of T, the first stays.
bool GaLore::is_due(size_t i, int64_t t) const {
  const int64_t offset = options_.stagger ? order_[i] * options_.gap / matrices_ : 0;
  return t == 1 || (t > 1 && (t - 1) % options_.gap == offset % options_.gap);
}

// False when there is no basis at all to go on with.
bool GaLore::refresh(size_t i, const torch::Tensor& grad, int64_t t) {
  const auto start = std::chrono::steady_clock::now();
  auto old = subspace_of(i);
  const bool had = old.basis.front().abs().max().item<double>() > 0.0;
  for (auto& basis : old.basis) basis = basis.clone();
  Subspace fresh{.axes = old.axes, .basis = {}};
  for (size_t k = 0; k < old.axes.size(); ++k) {
    fresh.basis.push_back(top_directions(grad, old.axes[k], old.basis[k].size(1), options_.projector.svd,
                                         had ? old.basis[k] : torch::Tensor(), static_cast<uint64_t>(order_[i] * 1'000'003 + t)));
    // A tensor's axis may be longer than its gradient has directions; a matrix's never is.
    if (!fresh.basis.back().defined() || fresh.basis.back().size(1) != old.basis[k].size(1)) {
      ++stats_.kept;
      return had;
    }
  }
  const size_t each = basis_layout(i).size() / old.axes.size();
  for (size_t k = 0; k < fresh.basis.size(); ++k) {
    store_basis(fresh.basis[k], options_.projector.dtype, std::span(slots(i)).subspan(1 + k * each, each));
    if (!had) continue;
    ++stats_.switches;
    stats_.overlap += (subspace_overlap(old.basis[k], fresh.basis[k]) - stats_.overlap) / static_cast<double>(stats_.switches);
  }
  ++stats_.refreshes;
  if (had) switch_moments(i, old, fresh);
  stats_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return true;
}

void GaLore::switch_moments(size_t i, const Subspace& old, const Subspace& fresh) {
  if (options_.on_switch == OnSwitch::keep) return;
  auto state = std::span(slots(i)).subspan(1 + basis_layout(i).size());
  if (options_.on_switch == OnSwitch::reset) {
    for (auto& tensor : state) tensor.zero_();
    return;
  }
  auto moments = rule_->moments(state);
  for (size_t k = 0; k < old.axes.size(); ++k) {
    const auto turn = torch::mm(fresh.basis[k].t(), old.basis[k]);  // [r, r]: old coordinates to new ones
    for (size_t order = 0; order < moments.size(); ++order) {
      const auto matrix = order == 0 ? turn : turn.square();
      moments[order] = torch::tensordot(moments[order], matrix, {old.axes[k]}, {1}).movedim(-1, old.axes[k]).contiguous();
    }
  }
  rule_->set_moments(state, moments);
}

// Counts the update and finds the subspace where one is due; false when there is none yet.
bool GaLore::begin_update(size_t i, const torch::Tensor& grad) {
  const int64_t t = count_update(i);
  if (!is_due(i, t) || refresh(i, grad, t)) return true;
  --*slots(i).front().data_ptr<int64_t>();  // no subspace yet: the next gradient is the first
  return false;
}

void GaLore::finish_update(size_t i, torch::Tensor projected, const StepTime& time) {
  const auto& parameter = parameters_[i];
  const RuleItem item{.value = parameter.value,
                      .grad = std::move(projected),
                      .state = std::span(slots(i)).subspan(1 + basis_layout(i).size()),
                      .t = *slots(i).front().data_ptr<int64_t>(),
                      .lr = time.lr * parameter.lr_scale,
                      .weight_decay = parameter.weight_decay};
  auto step = rule_->step(item, true);
  if (options_.compat) step.direction = step.direction.to(torch::kBFloat16).to(torch::kFloat32);
  if (!step.keep_after && step.keep != 1.0) parameter.value.mul_(step.keep);
  add_back(subspace_of(i), parameter.value, step.direction, -step.factor * options_.scale);
  if (step.keep_after && step.keep != 1.0) parameter.value.mul_(step.keep);
}

RuleItem GaLore::plain_item(size_t i, const torch::Tensor& grad, const StepTime& time) {
  const auto& parameter = parameters_[i];
  return {.value = parameter.value,
          .grad = grad,
          .state = std::span(slots(i)).subspan(1),
          .t = count_update(i),
          .lr = time.lr * parameter.lr_scale,
          .weight_decay = parameter.weight_decay};
}

void GaLore::move(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) {
  std::vector<RuleItem> plain;
  for (size_t k = 0; k < which.size(); ++k) {
    if (!parameters_[which[k]].matrix) {
      plain.push_back(plain_item(which[k], grads[k], time));
    } else if (begin_update(which[k], grads[k])) {
      finish_update(which[k], project(subspace_of(which[k]), grads[k]), time);
    }
  }
  rule_->move(plain);
}

void GaLore::accumulate(size_t i, const torch::Tensor& grad) {
  torch::NoGradGuard no_grad;
  sums_.resize(parameters_.size());
  auto& sum = sums_[i];
  const bool matrix = parameters_.at(i).matrix;
  if (!sum.defined()) {
    ensure_state(i);
    if (matrix && !begin_update(i, grad)) return;
    sum = matrix ? project(subspace_of(i), grad) : grad.to(torch::kFloat32, false, true);
    return;
  }
  sum.add_(matrix ? project(subspace_of(i), grad) : grad);
}

void GaLore::update_accumulated(const StepTime& time) {
  torch::NoGradGuard no_grad;
  std::vector<RuleItem> plain;
  for (size_t i = 0; i < sums_.size(); ++i) {
    if (!sums_[i].defined()) continue;
    if (parameters_[i].matrix) {
      finish_update(i, sums_[i], time);
    } else {
      plain.push_back(plain_item(i, sums_[i], time));
    }
  }
  rule_->move(plain);
  sums_.clear();
}

int64_t GaLore::accumulated_bytes(size_t i) const {
  const auto& parameter = parameters_.at(i);
  if (!parameter.matrix) return 4 * parameter.value.numel();
  return 4 * c10::multiply_integers(projected_shape(options_.projector, parameter.value.sizes().vec()));
}

const SubspaceStats* subspace_stats(const Optimizer& optimizer) {
  const auto* galore = dynamic_cast<const GaLore*>(&optimizer);
  return galore != nullptr ? &galore->stats() : nullptr;
}

}  // namespace tessera::train
