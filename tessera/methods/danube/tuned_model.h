#pragma once
// What SFT and DPO train: all weights, or LoRA adapters on frozen ones; how either is written to a checkpoint and read back.

#include <filesystem>

#include "tessera/lm/load.h"
#include "tessera/train/lora.h"
#include "tessera/train/task.h"

namespace tessera::danube {

struct Tuning {
  int64_t lora_rank = 0;  // 0: all weights
  double lora_alpha = 16.0;
  uint64_t seed = 0;
};

// Readies a loaded model: every weight asks for gradients, or adapters are hung on all linear layers but the head.
void prepare_tuning(lm::Transformer& model, const Tuning& tuning);

// parameters, write_model and read_model of a task over the prepared model. `source`: the folder or .gguf the model is from;
// `chat_template` is written beside a model that had none (empty: nothing is written).
train::Task tuned_task(const lm::Transformer& model, const Tuning& tuning, const std::filesystem::path& source,
                       const std::string& chat_template);

// The whole model with its tokenizer into an empty folder; adapters, if there are any, must have been merged.
void write_tuned(const lm::Transformer& model, const std::filesystem::path& folder, const std::filesystem::path& source,
                 const std::string& chat_template);

// Examples in an order shuffled anew every epoch: those of step `step` (from 1), `batch` a step; the last step of the run takes what is
// left of `epochs` passes.
struct ExampleOrder {
  int64_t examples = 0, batch = 1;
  double epochs = 1.0;
  uint64_t seed = 0;
  int64_t total() const;  // examples of the whole run
  int64_t steps() const;
  std::vector<size_t> of_step(int64_t step) const;
};

}  // namespace tessera::danube
