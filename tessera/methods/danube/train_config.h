#pragma once
// The configuration of a pre-training run, a JSON file: model, stages, optimizer, schedule, precision (Danube, arXiv 2401.16818, section
// 3).

#include <filesystem>

#include "tessera/train/language.h"
#include "tessera/train/optim/options.h"
#include "tessera/train/schedule.h"

namespace tessera::danube {

enum class Precision { fp32, bf16, fp8_emulate };

struct StageConfig {
  int64_t tokens = 0, seq_len = 0;
  std::vector<std::pair<std::string, double>> mix;  // source and weight; empty: all sources by their tokens
  std::optional<double> lr;                         // a constant rate in this stage, instead of the run's one curve
};

struct TrainConfig {
  // A config.json as an object (of Mistral's keys, vocab_size left out), a shape's name, a public checkpoint's name for its sizes, or the
  // path of a model to continue from.
  lm::Json model;
  std::filesystem::path tokenizer;  // empty: the model's, else trained from the data
  int64_t vocab = 8192;             // of a trained tokenizer
  std::vector<StageConfig> stages;
  int64_t batch = 0;              // tokens of a step, the same in all stages
  int64_t micro = 0;              // rows of one pass; 0: all
  train::OptimOptions optimizer;  // beta1 .9, beta2 .95, eps 1e-8
  double weight_decay = 0.1;      // of matrices inside layers
  double clip = 1.0;
  train::Decay decay = train::Decay::cosine;
  double peak = 2e-4, lowest = 1e-5;
  int64_t warmup = 0;  // tokens
  Precision precision = Precision::fp32;
  int64_t fp8_history = 16;
  bool doc_mask = false;          // attention within documents, positions anew in each
  bool window_inclusive = false;  // FlashAttention-2's window: one key more
  bool recompute = false;
  double average = 0.0;  // decay of a moving average of the weights, which becomes the model
  double held_out = 0.01;
  uint64_t seed = 0;
};

// Throws InputError with the place of what is wrong: "c.json: stages[1].seq_len ...", the nearest name for an unknown key.
TrainConfig read_train_config(const std::filesystem::path& path);
TrainConfig parse_train_config(const lm::Json& json, const std::string& file);

// The stages over sources of these names. Throws InputError for a mix that names another source.
std::vector<train::Stage> stages_of(const TrainConfig& config, const std::vector<std::string>& sources);
// One curve over the whole run, or the stages' own constant rates after the warm-up. Throws InputError when only some stages have one.
train::Schedule schedule_of(const TrainConfig& config);
// Tokens of the run: of every stage, rounded up to whole steps.
int64_t tokens_of(const TrainConfig& config);

}  // namespace tessera::danube
