// tessera galore measure: the plan's prediction beside the peak of some real steps.

#include "tessera/base/error.h"
#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/measure.h"
#include "tessera/methods/galore/step_options.h"
#include "tessera/run/environment.h"

namespace tessera::galore {
namespace {

using Json = nlohmann::ordered_json;

struct MeasureCommand : StepOptions {
  MeasureCommand() : StepOptions(4) {}
  int64_t steps = 3;
  double lr = 1e-3;
};

run::OptionTable<MeasureCommand> measure_options() {
  auto table = run::OptionTable<MeasureCommand>();
  add_step_rows(table, "config.json; the model's weights are random");
  table.number("steps", &MeasureCommand::steps, run::Range{1, 1000}, "steps, all on the same random tokens")
      .number("lr", &MeasureCommand::lr, run::Range{0}, "learning rate")
      .example("tessera galore measure config.json --optim galore-adamw --rank 128", "does the plan tell the truth?")
      .example("tessera galore measure config.json --dtype bf16 --no-masters --per-layer --recompute", "with every saving of memory")
      .example("tessera galore measure config.json --optim adamw --json", "plain AdamW, for a script");
  train::add_optim_rows(table);
  return table;
}

Json rows_of(const train::TrainPlan& plan) {
  return {{"weights", plan.weights},         {"masters", plan.masters}, {"gradients", plan.gradients}, {"optimizer", plan.optimizer},
          {"activations", plan.activations}, {"head", plan.head},       {"workspace", plan.workspace}, {"spare", plan.spare}};
}

void measure(const MeasureCommand& options, run::Context& context) {
  const auto config = lm::read_config(options.config);
  if (config.learned_positions && options.seq > config.max_positions)
    throw InputError("--seq {}: the model knows {} positions; give fewer tokens", options.seq, config.max_positions);
  const MeasureOptions how{.config = config,
                           .optim = options,
                           .dtype = context.settings().dtype == run::Dtype::bf16 ? torch::kBFloat16 : torch::kFloat32,
                           .masters = options.masters,
                           .per_layer = options.per_layer,
                           .recompute = options.recompute,
                           .batch = options.batch,
                           .seq = options.seq,
                           .steps = options.steps,
                           .rate = options.lr};
  const auto plan = plan_measured(how);
  train::check_fits(plan, static_cast<int64_t>(run::environment().memory_bytes), "--batch");
  const auto result = measure_training(how, [&](int64_t step, double loss) { context.note("step {}: loss {:.4f}", step, loss); });
  const int64_t predicted = plan.bytes() - plan.program, taken = result.peak - result.baseline;
  const double apart = static_cast<double>(taken) / static_cast<double>(predicted) - 1.0;
  context.line("{}: planned {:.3f} GB, measured {:.3f} GB ({:+.1f} %) above {:.3f} GB of the program; peak {:.3f} GB", options.name,
               static_cast<double>(predicted) / 1e9, static_cast<double>(taken) / 1e9, 100.0 * apart,
               static_cast<double>(result.baseline) / 1e9, static_cast<double>(result.peak) / 1e9);
  context.line("loss {:.4f} at first, {:.4f} after {} steps; the last took {:.2f} s", result.losses.front(), result.losses.back(),
               options.steps, result.seconds.back());
  context.result({{"optim", options.name},
                  {"plan", rows_of(plan)},
                  {"planned_bytes", predicted},
                  {"measured_bytes", taken},
                  {"baseline_bytes", result.baseline},
                  {"peak_rss_bytes", result.peak},
                  {"apart", apart},
                  {"losses", result.losses},
                  {"seconds", result.seconds},
                  {"subspace_seconds", result.subspace_seconds}});
}

}  // namespace

run::Command measure_command() {
  return run::command("measure", "the peak of memory of some real steps beside the plan's", measure_options, measure);
}

}  // namespace tessera::galore
