#pragma once
// What the experiment runs on: the real model and texts, or, in a quick run on a machine without them, a random tiny model and made-up
// text.

#include <optional>
#include <string>
#include <vector>

#include "tessera/data/wordnet_items.h"
#include "tessera/methods/shortgpt/opened_model.h"

namespace tessera::shortgpt {

// How much of everything; see the spec of each mode in reproduce.cpp.
struct Plan {
  int64_t window = 256, calibration_sets = 5, calibration_windows = 16, sweep_windows = 16, curve_windows = 8;
  std::vector<int64_t> counts = {1, 2, 3, 5, 8};
  int64_t small = 3, middle = 5, large = 8;  // the counts that claims speak of
  int64_t random_sets = 5, items = 300, continuations = 40, prompt_tokens = 64, new_tokens = 48, speed_windows = 2;
  int64_t quick_depth = 0;  // keep only so many blocks; 0: all
};

// How much --full trains.
struct TrainingPlan {
  std::vector<uint64_t> seeds = {1, 2, 3};  // of the models for C5
  int64_t steps = 300, batch = 16;          // of every model trained from scratch, in windows of 128 bytes
  // Peak rate, and the share of the steps that lead up to it. After a short warm-up a post-norm model of 12 layers stays at byte
  // frequencies (3.1 nats), at this rate and at the paper's 4e-4: its first large steps drown the tokens in one common vector, block by
  // block.
  double rate = 1e-3, warm_up = 0.5;
  int64_t healing_steps = 200, healing_batch = 2, healing_width = 2048;
};

// The learning rate of a step, from 0: linearly up to plan.rate, then a cosine down to a tenth of it.
double training_rate(int64_t step, const TrainingPlan& plan);

struct ExperimentData {
  bool real_model = true, real_text = true;
  OpenedModel opened;
  std::vector<Windows> calibration;  // [sets], disjoint
  Windows evaluation;                // handbook and glosses in turn
  std::vector<std::vector<int64_t>> prompts;
  std::vector<data::ChoiceItem> items;
  std::string calibration_text;  // for the models trained from scratch
};

// `count` whole windows, evenly spread over the first 2^18 tokens of a text. Throws InputError when there are fewer.
Windows spread(const text::Tokenizer& tokenizer, std::string_view text, int64_t window, int64_t count);

// The same windows, each behind the tokenizer's token for the beginning of a text, where it has one.
Windows behind_bos(const text::Tokenizer& tokenizer, Windows windows);

// The installed model of that short name and Debian's texts. In a quick run what is missing is made up; else InputError says how to get it.
ExperimentData experiment_data(const std::string& model, const Plan& plan, bool quick, const run::Context& context);

// Whether the packaged model of that short name is on this machine.
bool has_model(const std::string& name);

}  // namespace tessera::shortgpt
