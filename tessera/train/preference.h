#pragma once
// Losses on pairs of answers, one preferred: DPO (Rafailov et al., arXiv 2305.18290), IPO (Azar et al., arXiv 2310.12036) and the hinge of
// SLiC (Zhao et al., arXiv 2305.10425), against a reference policy. P pairs.

#include <torch/torch.h>

namespace tessera::train {

enum class PreferenceLoss {
  sigmoid,  // DPO: -log sigmoid(z)
  ipo,      // (d - 1 / (2 beta))^2 with d = z / beta, log-ratios as means over the answer's tokens
  hinge     // max(0, 1 - z)
};

struct PreferenceOptions {
  PreferenceLoss loss = PreferenceLoss::sigmoid;
  double beta = 0.1;               // > 0; the strength of the pull to the reference
  double label_smoothing = 0.0;    // sigmoid only: the share of pairs taken to be labelled the wrong way round, 0 to below 0.5
  bool length_normalised = false;  // log-probabilities as means over the answer's tokens: sums favour length. ipo always does
};

// Throws InputError naming the value that is out of range.
void check_preference(const PreferenceOptions& options);

// Log-probabilities of whole answers, [P] float32 each: sums over their tokens, or means (see PreferenceOptions).
struct PairLogProbs {
  torch::Tensor chosen, rejected;
};

// z = beta ((policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)).
struct PreferenceTerms {
  torch::Tensor loss;             // [P], with its graph
  torch::Tensor margin;           // [P]: z; the pair is won where it is > 0
  torch::Tensor chosen_reward;    // [P]: beta (policy.chosen - reference.chosen), no graph
  torch::Tensor rejected_reward;  // [P]
};
PreferenceTerms preference_loss(const PairLogProbs& policy, const PairLogProbs& reference, const PreferenceOptions& options);

// The log-probability of each sequence's counted tokens: nats: [B, T], 0 where nothing is counted, -> [B] sums, or means over `counted` [B]
// int64 when `mean` (a sequence without counted tokens gives 0).
torch::Tensor answer_log_probs(const torch::Tensor& nats, const torch::Tensor& counted, bool mean);

}  // namespace tessera::train
