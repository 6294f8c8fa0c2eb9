#pragma once
// From the options of `train` to everything a run needs: its folder, tokenizer, tokens, model and settings.

#include "tessera/app/train_options.h"
#include "tessera/lm/load.h"
#include "tessera/run/run_folder.h"
#include "tessera/text/tokenizer.h"
#include "tessera/train/corpus.h"
#include "tessera/train/plan.h"
#include "tessera/train/trainer.h"

namespace tessera::app {

struct TrainSetup {
  std::filesystem::path folder;
  std::optional<std::filesystem::path> checkpoint;  // to continue from
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::vector<train::MixedTokens::Corpus> corpora;
  std::vector<train::TokenCache> held_out;
  lm::Transformer model{nullptr};
  bool fresh = true;  // weights drawn, not read from a model
  train::LanguageOptions language;
  train::AdapterOptions adapters;  // filled in; the model has its factors already
};

// Makes or opens the run's folder, trains or takes the tokenizer, tokenises what is not tokenised yet, builds or loads the model. Throws
// InputError before anything is written where the options are wrong. `writes`: false for the ranks that come after rank 0 has done all
// this: they only read what is there.
TrainSetup set_up_training(const TrainCommand& options, run::Context& context, torch::Device device, bool writes);

// What a dry run knows without reading the data: the model's config; its stages need --tokens or --stages.
lm::ModelConfig planned_config(const TrainCommand& options);

// fp32 or bf16 by --dtype; auto takes bf16 where this machine multiplies it faster.
torch::Dtype train_dtype(run::Dtype dtype);

// Stages, batch and flags of the options. `tokens`: of each corpus; empty in a dry run.
train::LanguageOptions language_options(const TrainCommand& options, const std::vector<train::CorpusName>& corpora,
                                        const std::vector<int64_t>& tokens);

// Optimizer, schedule over the plan's tokens, clipping; the default rate by the model's size and by what is trained of it.
train::TrainerOptions trainer_options(const TrainCommand& options, const TrainSetup& setup, int64_t tokens);

// Whether the model is drawn anew, not read.
bool is_fresh(const TrainCommand& options);

// The optimizer's states and the rest of the plan for what is trained of the model, its factors included.
train::TrainPlan plan_of(const TrainCommand& options, lm::Transformer model, const train::LanguageOptions& language);

}  // namespace tessera::app
