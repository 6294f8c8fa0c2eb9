#pragma once
// From a configuration and texts to what the trainer takes: vocabulary, tokens, model.

#include "tessera/methods/danube/train_config.h"
#include "tessera/text/tokenizer.h"
#include "tessera/train/corpus.h"

namespace tessera::danube {

// Everything that can be wrong without reading the data, before anything is written.
void check_model(const TrainConfig& config, const train::LanguageOptions& language, int64_t longest);

// The run's tokenizer, in <run>/tokenizer: given, the model's, or trained from the data; with Danube's chat template when it is trained.
// `note` says what takes time.
text::Tokenizer prepare_tokenizer(const TrainConfig& config, const std::vector<train::CorpusName>& corpora,
                                  const std::filesystem::path& run, const std::function<void(const std::string&)>& note);

struct PreparedTokens {
  std::vector<train::MixedTokens::Corpus> corpora;
  std::vector<train::TokenCache> held_out;
};
// The corpora's tokens in <run>/data, made where they are not there yet.
PreparedTokens prepare_data(const TrainConfig& config, const std::vector<train::CorpusName>& corpora, const text::Tokenizer& tokenizer,
                            const std::filesystem::path& run, const std::function<void(uint64_t bytes)>& progress);

// A fresh model, or the one to continue from, in the config's precision, ready to train. Throws InputError when the tokenizer does not fit.
lm::Transformer prepare_model(const TrainConfig& config, const text::Tokenizer& tokenizer, int64_t longest);

}  // namespace tessera::danube
