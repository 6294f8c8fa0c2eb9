#pragma once
// Direct preference optimisation (Rafailov et al., arXiv 2305.18290) as Danube does it (arXiv 2401.16818, section 4.2): LoRA on the SFT
// model, which with the adapters off is its own reference. P pairs.

#include "tessera/methods/danube/tuned_model.h"
#include "tessera/train/chat_data.h"
#include "tessera/train/preference.h"

namespace tessera::danube {

struct TokenPair {
  train::ChatExample chosen, rejected;
};

struct DpoData {
  std::vector<TokenPair> pairs = {};
  int64_t equal = 0;                                  // rows left out since both answers are the same
  int64_t too_long = 0;                               // rows left out since an answer does not fit into a row
  double chosen_tokens = 0.0, rejected_tokens = 0.0;  // mean lengths of the answers: sums of log-probabilities favour length
};

// Pairs of a file or folder: rows that train::read_pairs takes, or rows with "answers" (texts) and "ranks" (numbers, one an answer): then
// the LOWEST rank is chosen, the highest rejected. Throws InputError with file and line, and when nothing is left.
DpoData read_dpo(const std::filesystem::path& path, const train::ChatEncoder& encoder, int64_t length);
// The pair of one row of ranked answers.
train::PreferencePair ranked_pair(const nlohmann::ordered_json& prompt, const std::vector<std::string>& answers,
                                  const std::vector<double>& ranks, const std::string& where);

// Log-probabilities of both answers of the chosen pairs under the model as it stands, [P] float32 each, with their graph where the model
// asks for one. `mean`: a token, else sums.
train::PairLogProbs pair_log_probs(lm::Transformer model, const std::vector<TokenPair>& pairs, const std::vector<size_t>& chosen,
                                   bool mean);

// The reference's, of all pairs, once: with adapters off where there are some.
train::PairLogProbs reference_log_probs(lm::Transformer model, const std::vector<TokenPair>& pairs, bool mean, int64_t batch = 8);

// Of the pairs of the last step.
struct DpoFigures {
  double accuracy = 0.0;  // share with margin > 0
  double margin = 0.0;    // mean of z
  double chosen_reward = 0.0, rejected_reward = 0.0;
  double log_ratio = 0.0;  // nats a token of the chosen answers between policy and reference: how far the policy has moved there
};

struct DpoOptions {
  ExampleOrder order;
  int64_t micro = 0;  // pairs of one pass; 0: all of a step
  train::PreferenceOptions preference;
};

struct DpoRun {
  int64_t tokens = 0;                        // of the whole run, which the schedule counts
  std::shared_ptr<DpoFigures> figures = {};  // of the last step
};
// Completes `task` (tuned_task) with the batches; makes the reference's log-probabilities first, so the model must not have moved yet.
DpoRun add_dpo_batches(train::Task& task, const lm::Transformer& model, std::vector<TokenPair> pairs, const DpoOptions& options);

}  // namespace tessera::danube
