#pragma once
// Supervised fine-tuning on conversations (Danube, arXiv 2401.16818, section 4.1): the loss counts answers with their end tokens, prompts
// are masked.

#include "tessera/methods/danube/tuned_model.h"
#include "tessera/train/chat_data.h"
#include "tessera/train/language.h"

namespace tessera::danube {

struct SftData {
  std::vector<train::ChatExample> examples = {};
  int64_t cut = 0;      // longer than the row: its end is gone
  int64_t dropped = 0;  // no answer token within the row
  int64_t tokens = 0, answer_tokens = 0;
};

// Conversations of a file or folder as tokens of at most `length`. Throws InputError with file and line, and when nothing is left.
SftData read_sft(const std::filesystem::path& path, const train::ChatEncoder& encoder, int64_t length);

// Examples as rows padded at their ends: targets are the next tokens where those belong to an answer (all next tokens without
// `mask_prompt`), else -1. Padding is masked by length, so its id never matters.
train::LanguageRows sft_rows(const std::vector<train::ChatExample>& examples, const std::vector<size_t>& chosen, bool mask_prompt);

struct SftOptions {
  ExampleOrder order;
  int64_t micro = 0;  // examples of one pass; 0: all of a step
  bool mask_prompt = true;
};

// Completes `task` (tuned_task) with the batches. `examples` is kept. Returns the tokens of the whole run, which the schedule counts.
int64_t add_sft_batches(train::Task& task, const lm::Transformer& model, std::vector<train::ChatExample> examples,
                        const SftOptions& options);

}  // namespace tessera::danube
