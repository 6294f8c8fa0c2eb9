#pragma once
// The run around training, sft and dpo: its folder, checkpoints, log, Ctrl-C and resume.

#include "tessera/methods/danube/training_log.h"
#include "tessera/methods/danube/tuned_model.h"

namespace tessera::danube {

struct OpenedRun {
  run::RunFolder* folder = nullptr;
  std::optional<std::filesystem::path> checkpoint;  // to continue from
};
// Makes --out (or runs/<time>-...), or opens it with `resume`. Throws InputError when a run lies there already and neither --resume nor
// --force is given.
OpenedRun open_run(run::Context& context, bool resume);

struct TrainingRun {
  TrainingTitle title;
  int64_t steps = 0;
  std::vector<std::string> stage_names = {};        // "1: rows of 128 tokens"
  std::function<int64_t(int64_t step)> stage = {};  // 1 and up; empty: always 1
  std::function<std::vector<double>()> own = {};    // figures of the last step, as title.own names them
  std::string go_on = {};                           // what a person types to continue
};

// All steps, with a save and an evaluation ten and twenty times a run. Throws Interrupted after Ctrl-C, once the state is saved. The log is
// written in any case.
TrainingLog run_training(train::Trainer& trainer, const OpenedRun& opened, const TrainingRun& what, run::Context& context);

// The finished model under <run>/model: `write` fills the folder.
std::filesystem::path write_result(const OpenedRun& opened, const std::string& name,
                                   const std::function<void(const std::filesystem::path& folder)>& write);

struct TunedResults {
  std::filesystem::path model, adapter;  // empty: not written
};
// What sft and dpo leave behind and say of it: with adapters <run>/adapter, and <run>/model when `merge` merges them; else <run>/model.
// `source` and `chat_template` as in tuned_task.
TunedResults write_tuned_results(const OpenedRun& opened, lm::Transformer& model, const Tuning& tuning, bool merge,
                                 const std::filesystem::path& source, const std::string& chat_template, run::Context& context);

}  // namespace tessera::danube
