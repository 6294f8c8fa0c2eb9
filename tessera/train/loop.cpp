#include "tessera/train/loop.h"

#include <chrono>

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"

namespace tessera::train {

namespace {

class Loop {
 public:
  Loop(Trainer& trainer, Checkpoints& checkpoints, const LoopOptions& options, const LoopEvents& events)
      : trainer_(trainer), checkpoints_(checkpoints), options_(options), events_(events), saved_(trainer.steps_done()) {}

  Ended run() {
    while (trainer_.steps_done() < options_.steps) {
      if (trainer_.any_rank(interrupted())) return stop();
      one_step();
      const int64_t step = trainer_.steps_done();
      const bool last = step == options_.steps;
      if (last || (options_.eval_every > 0 && step % options_.eval_every == 0)) evaluate();
      if (last || (options_.save_every > 0 && step % options_.save_every == 0)) save();
    }
    return Ended::done;
  }

 private:
  Ended stop() {
    save();
    return Ended::interrupted;
  }

  void one_step() {
    const auto start = std::chrono::steady_clock::now();
    StepReport report;
    try {
      report = trainer_.step();
    } catch (const WorkError& error) {
      if (!trainer_.whole()) throw;
      const bool fresh = save();
      throw WorkError("{} (the state before this step is in {}{})", error.message(), checkpoints_.latest().value_or("nothing").string(),
                      fresh ? "" : ", unchanged");
    }
    if (events_.stepped) events_.stepped(report, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

  void evaluate() {
    if (!trainer_.task().evaluate) return;
    Figures figures;
    trainer_.with_averaged_weights([&] { figures = trainer_.task().evaluate(); });
    if (events_.evaluated) events_.evaluated(trainer_.steps_done(), figures);
  }

  // False when this state is on the disk already.
  bool save() {
    const int64_t step = trainer_.steps_done();
    if (step == saved_) return false;
    saved_ = step;
    trainer_.share_state();
    if (trainer_.writes()) {
      const auto path = checkpoints_.save(step, [&](const std::filesystem::path& folder) { trainer_.write(folder); });
      if (events_.saved) events_.saved(step, path);
    }
    trainer_.unshare_state();
    return true;
  }

  Trainer& trainer_;
  Checkpoints& checkpoints_;
  const LoopOptions& options_;
  const LoopEvents& events_;
  int64_t saved_;  // the step of the last save, or of the state that was resumed from
};

}  // namespace

Ended run_steps(Trainer& trainer, Checkpoints& checkpoints, const LoopOptions& options, const LoopEvents& events) {
  return Loop(trainer, checkpoints, options, events).run();
}

}  // namespace tessera::train
