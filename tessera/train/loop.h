#pragma once
// The run around the trainer: steps, evaluations, saves, and what happens when somebody or something stops it.

#include "tessera/train/checkpoints.h"
#include "tessera/train/trainer.h"

namespace tessera::train {

struct LoopOptions {
  int64_t steps = 0;       // optimizer steps of the whole run; those done before a resume count
  int64_t save_every = 0;  // steps between checkpoints; 0: at the end only
  int64_t eval_every = 0;  // steps between evaluations; 0: at the end only
};

// Called in this order after a step; each may be empty.
struct LoopEvents {
  std::function<void(const StepReport& report, double seconds)> stepped;  // seconds of this step
  std::function<void(int64_t step, const Figures& figures)> evaluated;
  std::function<void(int64_t step, const std::filesystem::path& checkpoint)> saved;
};

enum class Ended { done, interrupted };

// Runs until options.steps are done, or until a stop is asked for (base/interrupt.h): then the step is finished and saved. A save follows
// the last step. When a step's loss or gradient is not finite, the state before it is saved and WorkError says where.
Ended run_steps(Trainer& trainer, Checkpoints& checkpoints, const LoopOptions& options, const LoopEvents& events);

}  // namespace tessera::train
