#include "tessera/train/preference.h"

#include "tessera/base/error.h"

namespace tessera::train {

void check_preference(const PreferenceOptions& options) {
  if (!(options.beta > 0.0))
    throw InputError("beta {}: the pull to the reference must be above 0; the papers take 0.01 to 0.5", options.beta);
  if (!(options.label_smoothing >= 0.0 && options.label_smoothing < 0.5))
    throw InputError("label smoothing {}: give 0 to below 0.5", options.label_smoothing);
  if (options.label_smoothing > 0.0 && options.loss != PreferenceLoss::sigmoid)
    throw InputError("label smoothing {} goes with the sigmoid loss only; leave it out", options.label_smoothing);
}

PreferenceTerms preference_loss(const PairLogProbs& policy, const PairLogProbs& reference, const PreferenceOptions& options) {
  check_preference(options);
  const auto chosen = policy.chosen - reference.chosen, rejected = policy.rejected - reference.rejected;
  const auto z = options.beta * (chosen - rejected);
  torch::Tensor loss;
  switch (options.loss) {
    case PreferenceLoss::sigmoid:
      loss = -(1.0 - options.label_smoothing) * at::log_sigmoid(z) - options.label_smoothing * at::log_sigmoid(-z);
      break;
    case PreferenceLoss::ipo:
      loss = (chosen - rejected - 1.0 / (2.0 * options.beta)).square();
      break;
    case PreferenceLoss::hinge:
      loss = (1.0 - z).clamp_min(0.0);
      break;
  }
  return {loss, z.detach(), (options.beta * chosen).detach(), (options.beta * rejected).detach()};
}

torch::Tensor answer_log_probs(const torch::Tensor& nats, const torch::Tensor& counted, bool mean) {
  const auto sums = nats.sum(1).neg();
  return mean ? sums / counted.clamp_min(1) : sums;
}

}  // namespace tessera::train
