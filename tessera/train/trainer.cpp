#include "tessera/train/trainer.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/train/gradients.h"

namespace tessera::train {

// Runs when the gradient of one parameter has its final value for this backward pass.
class Trainer::UpdateHook : public torch::autograd::PostAccumulateGradHook {
 public:
  UpdateHook(Trainer& trainer, size_t i) : trainer_(trainer), i_(i) {}
  void operator()(const torch::autograd::Variable& /* parameter */) override { trainer_.update_one(i_); }

 private:
  Trainer& trainer_;
  size_t i_;
};

Trainer::Trainer(Task task, TrainerOptions options) : task_(std::move(task)), options_(std::move(options)) {
  check_options();
  if (options_.ranks && options_.ranks->size() > 1) AcrossRanks::share_start(task_.parameters, *options_.ranks);
  make_masters();
  if (options_.accumulate_low_rank && !(options_.per_layer && optimizer_->accumulates()))
    throw InputError(
        "gradients add up in a subspace for GaLore's rules with updates during the backward pass; give --optim galore-adamw and "
        "--per-layer");
  if (options_.per_layer) hook_updates();
  if (options_.ranks && options_.ranks->size() > 1) {
    std::vector<torch::Tensor> leaves;
    for (const auto& parameter : task_.parameters) leaves.push_back(parameter.value);
    across_ = std::make_unique<AcrossRanks>(std::move(leaves), optimizer_, options_.ranks);
  }
  std::vector<size_t> all(task_.parameters.size());
  std::iota(all.begin(), all.end(), size_t{0});
  optimizer_->make_states(all);
  if (task_.position) position_ = task_.position();
}

Trainer::~Trainer() {
  if (!options_.per_layer) return;
  for (auto& parameter : task_.parameters) torch::autograd::impl::set_post_acc_grad_hooks(parameter.value, nullptr);
}

void Trainer::check_options() const {
  check_schedule(options_.schedule);
  if (task_.parameters.empty()) throw InputError("there is no parameter to train; check which ones are frozen");
  if (!(options_.clip >= 0.0)) throw InputError("clipping at {}; give a positive norm, or 0 for none", options_.clip);
  if (!(options_.ema >= 0.0 && options_.ema < 1.0)) throw InputError("the moving average decays by {}; give 0 to below 1", options_.ema);
  if (options_.per_layer && options_.clip > 0.0)
    throw InputError("updates during the backward pass cannot clip: the global norm needs every gradient first; give --clip 0");
  if (options_.per_layer && options_.ranks && options_.ranks->size() > 1)
    throw InputError("updates during the backward pass need one process: {} ranks sum their gradients first; leave out --per-layer",
                     options_.ranks->size());
}

void Trainer::make_masters() {
  torch::NoGradGuard no_grad;
  std::vector<Parameter> moved;
  for (const auto& parameter : task_.parameters) {
    const auto& value = parameter.value;
    masters_.push_back(options_.masters ? value.detach().to(torch::kFloat32) : value.detach());
    auto copy = parameter;
    copy.value = masters_.back();
    moved.push_back(std::move(copy));
    if (options_.ema > 0.0) averages_.push_back(masters_.back().clone());
  }
  optimizer_ = options_.optimizer(std::move(moved));
}

void Trainer::hook_updates() {
  for (size_t i = 0; i < task_.parameters.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(task_.parameters[i].value, std::make_unique<UpdateHook>(*this, i));
}

StepReport Trainer::step() {
  try {
    return take_step();
  } catch (const ConnectionError&) {
    whole_ = false;
    throw;
  }
}

StepReport Trainer::take_step() {
  StepReport report{.step = step_ + 1};
  const int64_t micros = task_.micro_batches(report.step);
  if (options_.per_layer && micros > 1 && !options_.accumulate_low_rank)
    throw InputError(
        "updates during the backward pass cannot accumulate {} micro-batches: each would move the weights; give one, or "
        "--accum lowrank with a GaLore optimizer",
        micros);
  if (task_.prepare_step) {
    torch::NoGradGuard no_grad;
    task_.prepare_step(report.step, *optimizer_);
  }
  std::vector<Batch> batches;
  for (int64_t m = 0; m < micros; ++m) {
    batches.push_back(task_.batch(report.step, m));
    report.counted += batches.back().counted;
    report.tokens += batches.back().tokens;
  }
  if (across_) {
    const auto sums = across_->sum({report.counted, report.tokens});
    report.counted = sums[0];
    report.tokens = sums[1];
  }
  report.tokens += tokens_;
  report.rate = rate_at(options_.schedule, report.tokens);
  time_ = {.step = report.step, .lr = report.rate};
  try {
    report.loss = accumulate(batches, report.counted);
    update_all(report);
  } catch (...) {
    if (across_) across_->reducer().forget();
    zero_gradients();
    throw;
  }
  zero_gradients();
  average();
  step_ = report.step;
  tokens_ = report.tokens;
  constexpr double decay = 0.98;
  smoothed_ = decay * smoothed_ + (1.0 - decay) * report.loss;
  report.smoothed = smoothed_ / (1.0 - std::pow(decay, static_cast<double>(step_)));
  if (task_.position) position_ = task_.position();
  return report;
}

// Forward and backward of every micro-batch; returns the mean of all counted terms.
double Trainer::accumulate(std::vector<Batch>& batches, int64_t counted) {
  const double share = counted > 0 ? 1.0 / static_cast<double>(counted) : 0.0;
  double sum = 0.0;
  for (size_t m = 0; m < batches.size(); ++m) {
    const auto loss = batches[m].loss();
    const double value = loss.item<double>();
    if (!std::isfinite(value) && !across_) {  // of several ranks all must run the same operations: they look at the sum
      throw WorkError("step {}: the loss is {} in micro-batch {} of {}; lower the learning rate, or look at the data of this step",
                      time_.step, value, m + 1, batches.size());
    }
    sum += value;
    batches[m].loss = nullptr;  // its data go before the backward pass
    if (options_.per_layer) whole_ = false;
    if (across_) across_->reducer().expect(m + 1 == batches.size());
    loss.backward(torch::scalar_tensor(share, loss.options()));
  }
  if (not_finite_) {
    const std::string name = *std::exchange(not_finite_, std::nullopt);
    throw WorkError("step {}: the gradient of {} is not finite; lower the learning rate, and go back to the last checkpoint", time_.step,
                    name);
  }
  if (options_.accumulate_low_rank) {
    optimizer_->update_accumulated(time_);
    for (size_t i = 0; i < masters_.size(); ++i) copy_master(i);
  }
  whole_ = true;
  return finish_sum(sum, share);
}

double Trainer::finish_sum(double sum, double share) {
  if (!across_) return sum * share;
  across_->reducer().finish();
  sum = across_->sum(sum);
  if (!std::isfinite(sum))
    throw WorkError("step {}: the loss is {} on one of the ranks; lower the learning rate, or look at the data of this step", time_.step,
                    sum);
  return sum * share;
}

std::vector<torch::Tensor> Trainer::gradients() const {
  std::vector<torch::Tensor> all;
  all.reserve(task_.parameters.size());
  for (const auto& parameter : task_.parameters) all.push_back(parameter.value.grad());
  return all;
}

void Trainer::update_all(StepReport& report) {
  if (options_.per_layer) {
    report.norm = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  torch::NoGradGuard no_grad;
  auto all = gradients();
  report.norm = checked_norm(all);
  if (options_.clip > 0.0) clip(all, report.norm, options_.clip);
  std::vector<size_t> which;
  std::vector<torch::Tensor> given;
  for (size_t i = 0; i < all.size(); ++i) {
    if (across_ ? !across_->reducer().used(i) : !all[i].defined()) continue;  // not used by this step's loss
    which.push_back(i);
    given.push_back(all[i]);
  }
  optimizer_->update(which, given, time_);
  for (const size_t i : which) copy_master(i);
}

double Trainer::checked_norm(std::span<const torch::Tensor> all) const {
  const double norm = across_ ? across_->norm(all) : global_norm(all);
  if (std::isfinite(norm)) return norm;
  if (const auto wrong = first_not_finite(all)) {
    throw WorkError("step {}: the gradient of {} is not finite; lower the learning rate, or give a smaller --clip", time_.step,
                    task_.parameters[*wrong].name);
  }
  throw WorkError("step {}: the gradient's norm is {}; lower the learning rate", time_.step, norm);
}

void Trainer::share_state() {
  if (across_) across_->gather_states();
}

void Trainer::unshare_state() {
  if (across_) across_->release_states();
}

void Trainer::update_one(size_t i) {
  torch::NoGradGuard no_grad;
  auto& gradient = task_.parameters[i].value.mutable_grad();
  if (!gradient.defined()) return;
  if (!std::isfinite(sum_of_squares(gradient))) {
    if (!not_finite_) not_finite_ = task_.parameters[i].name;
  } else if (options_.accumulate_low_rank) {
    optimizer_->accumulate(i, gradient);
  } else {
    optimizer_->update(std::span(&i, 1), std::span<const torch::Tensor>(&gradient, 1), time_);
    copy_master(i);
  }
  gradient.reset();
}

void Trainer::copy_master(size_t i) {
  torch::NoGradGuard no_grad;
  auto& value = task_.parameters[i].value;
  if (has_master(i)) value.detach().copy_(masters_[i]);
}

void Trainer::average() {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < averages_.size(); ++i) averages_[i].lerp_(masters_[i], 1.0 - options_.ema);
}

void Trainer::zero_gradients() {
  for (auto& parameter : task_.parameters) parameter.value.mutable_grad().reset();
}

void Trainer::with_averaged_weights(const std::function<void()>& work) {
  if (averages_.empty()) return work();
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> trained;
  for (size_t i = 0; i < averages_.size(); ++i) {
    trained.push_back(task_.parameters[i].value.detach().clone());
    task_.parameters[i].value.detach().copy_(averages_[i]);
  }
  const auto put_back = [&] {
    for (size_t i = 0; i < trained.size(); ++i) task_.parameters[i].value.detach().copy_(trained[i]);
  };
  try {
    work();
  } catch (...) {
    put_back();
    throw;
  }
  put_back();
}

int64_t Trainer::state_bytes() const {
  int64_t bytes = 0;
  for (size_t i = 0; i < task_.parameters.size(); ++i) {
    if (has_master(i)) bytes += static_cast<int64_t>(masters_[i].nbytes());
    bytes += optimizer_->state_bytes(i);
  }
  for (const auto& average : averages_) bytes += static_cast<int64_t>(average.nbytes());
  return bytes;
}

}  // namespace tessera::train
