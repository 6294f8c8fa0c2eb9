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
    ranks_.push_back(options_.projector.rank);
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

ProjectorOptions GaLore::projector_of(size_t i) const {
  auto options = options_.projector;
  options.rank = ranks_[i];
  return options;
}

std::vector<int64_t> GaLore::small_shape(size_t i) const { return projected_shape(projector_of(i), parameters_.at(i).value.sizes().vec()); }

std::vector<StateSlot> GaLore::basis_layout(size_t i) const {
  const auto shape = parameters_.at(i).value.sizes().vec(), small = small_shape(i);
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
  std::vector<StateSlot> slots{step_slot()};
  if (parameter.matrix) {
    if (options_.rank_energy > 0.0) slots.push_back({"rank", {}, torch::kInt64});
    for (auto& slot : basis_layout(i)) slots.push_back(std::move(slot));
  }
  for (auto& slot : rule_->layout(parameter.matrix ? small_shape(i) : parameter.value.sizes().vec())) slots.push_back(std::move(slot));
  return slots;
}

void GaLore::prepare_load(size_t i, const StateTensors& state) {
  if (options_.rank_energy == 0.0 || !parameters_.at(i).matrix) return;
  ranks_[i] = options_.projector.rank;
  for (const auto& [name, tensor] : state) {
    if (name != "rank" || tensor.numel() != 1 || tensor.scalar_type() != torch::kInt64) continue;
    const int64_t rank = tensor.item<int64_t>();
    if (rank < 0 || rank > options_.projector.rank)
      throw InputError("{}: the saved subspace has {} directions, and --rank allows {}; resume with the --rank it was saved by",
                       parameters_[i].name, rank, options_.projector.rank);
    if (rank > 0) ranks_[i] = rank;
  }
}

Subspace GaLore::subspace_of(size_t i) const {
  const auto shape = parameters_[i].value.sizes().vec(), small = small_shape(i);
  Subspace subspace{.axes = projected_axes(options_.projector, shape), .basis = {}};
  const size_t each = (basis_layout(i).size()) / subspace.axes.size();
  const auto state = std::span<const torch::Tensor>(slots(i)).subspan(basis_begin());
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
  if (options_.projector.dtype == ProjectorDtype::float32)  // else read_basis has made a copy
    for (auto& basis : old.basis) basis = basis.clone();
  const auto most = projected_shape(options_.projector, parameters_[i].value.sizes().vec());
  Subspace fresh{.axes = old.axes, .basis = {}};
  for (size_t k = 0; k < old.axes.size(); ++k) {
    fresh.basis.push_back(top_directions(grad, old.axes[k], most[old.axes[k]], options_.projector.svd, had ? old.basis[k] : torch::Tensor(),
                                         static_cast<uint64_t>(order_[i] * 1'000'003 + t)));
    // A tensor's axis may be longer than its gradient has directions; a matrix's never is.
    if (!fresh.basis.back().defined() || fresh.basis.back().size(1) != most[old.axes[k]]) {
      ++stats_.kept;
      return had;
    }
  }
  std::vector<torch::Tensor> rotated;
  const int64_t rank = options_.rank_energy > 0.0 ? narrow_to_energy(i, grad, fresh) : ranks_[i];
  if (had && options_.on_switch == OnSwitch::rotate) rotated = rotated_moments(i, old, fresh);
  if (options_.rank_energy > 0.0) resize(i, rank);
  store(i, fresh);
  for (size_t k = 0; had && k < fresh.basis.size(); ++k) {
    ++stats_.switches;
    stats_.overlap += (subspace_overlap(old.basis[k], fresh.basis[k]) - stats_.overlap) / static_cast<double>(stats_.switches);
  }
  ++stats_.refreshes;
  stats_.rank += (static_cast<double>(fresh.basis.front().size(1)) - stats_.rank) / static_cast<double>(stats_.refreshes);
  if (!rotated.empty()) rule_->set_moments(rule_state(i), rotated);
  if (had && options_.on_switch == OnSwitch::reset)
    for (auto& tensor : rule_state(i)) tensor.zero_();
  stats_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return true;
}

void GaLore::store(size_t i, const Subspace& fresh) {
  const size_t each = basis_layout(i).size() / fresh.axes.size();
  for (size_t k = 0; k < fresh.basis.size(); ++k)
    store_basis(fresh.basis[k], options_.projector.dtype, std::span(slots(i)).subspan(basis_begin() + k * each, each));
}

// While a subspace is sought: the old bases, the new ones, and the search on one axis or what comes behind it.
int64_t GaLore::refresh_bytes(size_t i, torch::Dtype grad) const {
  const auto& projector = options_.projector;
  const auto shape = parameters_.at(i).value.sizes().vec(), small = projected_shape(projector, shape);
  const int64_t elements = c10::multiply_integers(shape), moments = c10::multiply_integers(small);
  int64_t bases = 0, search = 0, store = 0, energy = 0;
  for (const int64_t axis : projected_axes(projector, shape)) {
    const int64_t basis = shape[axis] * small[axis];
    search = std::max(search, 4 * bases + search_bytes(shape, axis, small[axis], projector.svd, grad));
    store = std::max(store, store_basis_bytes(basis, projector.dtype));
    energy = std::max(energy, 8 * elements / shape[axis] * small[axis]);  // coordinates and their squares
    bases += basis;
  }
  energy = (grad == torch::kFloat32 ? 0 : 4 * elements) + std::max(energy, 4 * elements);
  const int64_t narrowing = options_.rank_energy > 0.0 ? std::max(energy, 16 * moments) : 0;
  const int64_t rotating = options_.on_switch == OnSwitch::rotate ? 16 * moments : 0;  // two moments, before and after
  return 4 * bases + std::max(search, 4 * bases + std::max({store, narrowing, rotating}));
}

// While a matrix moves: the bases, the projected gradient, and the rule's step or the product that adds it to the weights.
int64_t GaLore::finish_bytes(size_t i, torch::Dtype grad) const {
  const auto& projector = options_.projector;
  const auto& value = parameters_.at(i).value;
  const auto shape = value.sizes().vec(), small = projected_shape(projector, shape);
  const int64_t coordinates = 4 * c10::multiply_integers(small);
  int64_t bases = 0, reading = 0;
  for (const int64_t axis : projected_axes(projector, shape)) {
    const int64_t basis = shape[axis] * small[axis];
    reading = std::max(reading, bases + read_basis_bytes(basis, projector.dtype));
    if (projector.dtype != ProjectorDtype::float32) bases += 4 * basis;
  }
  const int64_t step = coordinates + rule_->step_bytes(small);
  const int64_t rounding = options_.compat ? step + 3 * coordinates / 2 : 0;
  const int64_t adding = step + add_back_bytes(projector, shape, value.scalar_type());
  return std::max(reading, bases + std::max({project_bytes(projector, shape, grad), rounding, adding}));
}

int64_t GaLore::workspace_bytes(size_t i, torch::Dtype grad) const {
  const auto& parameter = parameters_.at(i);
  if (!parameter.matrix) return rule_->move_bytes(parameter.value.sizes().vec(), grad, parameter.value.scalar_type());
  return std::max(refresh_bytes(i, grad), finish_bytes(i, grad));
}

// Leaves the fewest leading directions that hold the wanted share of the gradient's squares on every axis, all where they do not; returns
// how many.
int64_t GaLore::narrow_to_energy(size_t i, const torch::Tensor& grad, Subspace& fresh) {
  const auto wide = grad.to(torch::kFloat32);
  const double wanted = options_.rank_energy * wide.square().sum(torch::kDouble).item<double>();
  int64_t rank = wanted > 0.0 ? 1 : ranks_[i];  // a gradient of zeros says nothing
  for (size_t k = 0; wanted > 0.0 && k < fresh.axes.size(); ++k) {
    const auto rows = wide.movedim(fresh.axes[k], 0).reshape({wide.size(fresh.axes[k]), -1});
    const auto held = torch::mm(fresh.basis[k].t(), rows).square().sum(1, false, torch::kDouble).cumsum(0);
    rank = std::max(rank, std::min(held.lt(wanted).sum().item<int64_t>() + 1, held.size(0)));
  }
  for (auto& basis : fresh.basis) basis = basis.narrow(1, 0, std::min(rank, basis.size(1))).contiguous();
  return rank;
}

// A moment with more or fewer coordinates: the first ones stay, new ones begin at 0, or at the last one's where they are squares.
static torch::Tensor resized(torch::Tensor t, const std::vector<int64_t>& shape, bool squares) {
  for (int64_t axis = 0; axis < t.dim(); ++axis) {
    const int64_t more = shape[axis] - t.size(axis);
    if (more < 0) t = t.narrow(axis, 0, shape[axis]);
    if (more <= 0) continue;
    const auto last = t.narrow(axis, t.size(axis) - 1, 1);
    auto grown = last.sizes().vec();
    grown[axis] = more;
    t = torch::cat({t, squares ? last.expand(grown) : torch::zeros(grown, t.options())}, axis);
  }
  return t.contiguous();
}

// The state of a subspace of `rank` directions; its bases are still to be stored.
void GaLore::resize(size_t i, int64_t rank) {
  if (rank != ranks_[i]) {
    const std::vector<torch::Tensor> old(rule_state(i).begin(), rule_state(i).end());
    auto moments = rule_->moments(rule_state(i));
    ranks_[i] = rank;
    auto fresh = fresh_state(i);
    fresh.front() = slots(i).front();
    slots(i) = std::move(fresh);
    for (size_t k = 0; k < moments.size(); ++k) moments[k] = resized(moments[k], small_shape(i), k == 1);
    if (!moments.empty()) rule_->set_moments(rule_state(i), moments);
    const auto names = rule_->layout(small_shape(i));
    for (size_t k = 0; moments.empty() && k < names.size(); ++k)
      rule_state(i)[k].copy_(resized(old[k], names[k].shape, names[k].name.find("sq") != std::string::npos));
  }
  *slots(i)[1].data_ptr<int64_t>() = rank;
}

// In the fresh subspace's coordinates.
std::vector<torch::Tensor> GaLore::rotated_moments(size_t i, const Subspace& old, const Subspace& fresh) {
  auto moments = rule_->moments(rule_state(i));
  for (size_t k = 0; k < old.axes.size(); ++k) {
    const auto turn = torch::mm(fresh.basis[k].t(), old.basis[k]);  // [new r, old r]: old coordinates to new ones
    for (size_t order = 0; order < moments.size(); ++order) {
      const auto matrix = order == 0 ? turn : turn.square();
      moments[order] = torch::tensordot(moments[order], matrix, {old.axes[k]}, {1}).movedim(-1, old.axes[k]).contiguous();
    }
  }
  return moments;
}

// Counts the update and finds the subspace where one is due; false when there is none yet.
bool GaLore::begin_update(size_t i, const torch::Tensor& grad) {
  const int64_t t = count_update(i);
  if (!is_due(i, t) || refresh(i, grad, t)) return true;
  --*slots(i).front().data_ptr<int64_t>();  // no subspace yet: the next gradient is the first
  return false;
}

void GaLore::finish_update(size_t i, const Subspace& subspace, torch::Tensor projected, const StepTime& time) {
  const auto& parameter = parameters_[i];
  const RuleItem item{.value = parameter.value,
                      .grad = std::move(projected),
                      .state = rule_state(i),
                      .t = *slots(i).front().data_ptr<int64_t>(),
                      .lr = time.lr * parameter.lr_scale,
                      .weight_decay = parameter.weight_decay};
  auto step = rule_->step(item, true);
  if (options_.compat) step.direction = step.direction.to(torch::kBFloat16).to(torch::kFloat32);
  if (!step.keep_after && step.keep != 1.0) parameter.value.mul_(step.keep);
  add_back(subspace, parameter.value, step.direction, -step.factor * options_.scale);
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
      const auto subspace = subspace_of(which[k]);
      finish_update(which[k], subspace, project(subspace, grads[k]), time);
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
      finish_update(i, subspace_of(i), sums_[i], time);
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
