#include "tessera/methods/danube/training_run.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/train/checkpoints.h"

namespace tessera::danube {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kKept = 2;  // checkpoints

void remove_earlier_run(const fs::path& folder) {
  std::vector<fs::path> own;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-") || name == "latest" || name == "data" || name == "tokenizer" || name == "model" ||
        name == "adapter" || name == "train.csv")
      own.push_back(entry.path());
  }
  for (const auto& path : own) fs::remove_all(path, error);
}

}  // namespace

OpenedRun open_run(run::Context& context, bool resume) {
  const auto& settings = context.settings();
  const bool exists = !settings.out.empty() && fs::exists(settings.out / "recipe.toml");
  if (resume && settings.out.empty()) throw InputError("--resume needs the run; give --out RUN");
  if (exists && !resume && !settings.force)
    throw InputError("--out {} holds a run already; go on with --resume, or give --force to replace it", settings.out.string());
  if (exists && !resume) remove_earlier_run(settings.out);
  OpenedRun opened{.folder = resume ? &context.resumed_folder() : &context.folder(), .checkpoint = std::nullopt};
  train::Checkpoints checkpoints(opened.folder->path(), kKept);
  checkpoints.remove_torn();
  if (resume) opened.checkpoint = checkpoints.latest();
  return opened;
}

TrainingLog run_training(train::Trainer& trainer, const OpenedRun& opened, const TrainingRun& what, run::Context& context) {
  if (opened.checkpoint) trainer.read(*opened.checkpoint);
  TrainingLog log(context, *opened.folder, what.title, what.stage_names, trainer.steps_done());
  if (opened.checkpoint) context.note("goes on after step {} of {}", trainer.steps_done(), what.steps);
  train::Checkpoints checkpoints(opened.folder->path(), kKept);
  const train::LoopOptions loop{
      .steps = what.steps, .save_every = std::clamp<int64_t>(what.steps / 10, 1, 200), .eval_every = std::max<int64_t>(1, what.steps / 20)};
  train::LoopEvents events;
  events.stepped = [&](const train::StepReport& report, double seconds) {
    log.stepped(report, seconds, what.stage ? what.stage(report.step) : 1, what.own ? what.own() : std::vector<double>{});
  };
  events.evaluated = [&](int64_t, const train::Figures& figures) { log.evaluated(figures); };
  train::Ended ended;
  try {
    ended = train::run_steps(trainer, checkpoints, loop, events);
  } catch (...) {
    log.write();
    throw;
  }
  log.write();
  if (ended == train::Ended::interrupted)
    throw Interrupted("stopped after step {} of {}, saved; go on with: {} --out {} --resume", trainer.steps_done(), what.steps, what.go_on,
                      opened.folder->path().string());
  return log;
}

fs::path write_result(const OpenedRun& opened, const std::string& name, const std::function<void(const fs::path& folder)>& write) {
  fs::path path = opened.folder->path() / name;
  AtomicFolder folder(path, true);
  write(folder.folder());
  folder.commit();
  return path;
}

TunedResults write_tuned_results(const OpenedRun& opened, lm::Transformer& model, const Tuning& tuning, bool merge,
                                 const std::filesystem::path& source, const std::string& chat_template, run::Context& context) {
  TunedResults written;
  if (tuning.lora_rank > 0) {
    written.adapter =
        write_result(opened, "adapter", [&](const std::filesystem::path& to) { train::save_lora(*model, to, source.string()); });
    context.line("adapter: {}", written.adapter.string());
    if (merge) train::merge_lora(*model);
  }
  if (tuning.lora_rank == 0 || merge) {
    written.model = write_result(opened, "model", [&](const std::filesystem::path& to) { write_tuned(model, to, source, chat_template); });
    context.line("model:  {}    tessera danube chat {}", written.model.string(), written.model.string());
  }
  return written;
}

}  // namespace tessera::danube
