// tessera galore measure: the plan's prediction beside the peak of some real steps.

#include "tessera/base/error.h"
#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/measure.h"
#include "tessera/run/environment.h"
#include "tessera/train/optim_rows.h"

namespace tessera::galore {
namespace {

using Json = nlohmann::ordered_json;

struct MeasureCommand : train::OptimOptions {
  MeasureCommand() { name = "galore-adamw"; }
  std::filesystem::path config;
  int64_t batch = 4, seq = 256, steps = 3;
  double lr = 1e-3;
  bool per_layer = false, recompute = false, masters = true;
};

run::OptionTable<MeasureCommand> measure_options() {
  auto table = run::OptionTable<MeasureCommand>();
  table.input("CONFIG", &MeasureCommand::config, "config.json; the model's weights are random")
      .number("batch", &MeasureCommand::batch, run::Range{1, 1 << 20}, "rows of a step")
      .number("seq", &MeasureCommand::seq, run::Range{2, 1 << 20}, "tokens of a row")
      .number("steps", &MeasureCommand::steps, run::Range{1, 1000}, "steps, all on the same random tokens")
      .number("lr", &MeasureCommand::lr, run::Range{0}, "learning rate")
      .flag("per-layer", &MeasureCommand::per_layer, "move each parameter in the backward pass: one gradient at a time")
      .flag("recompute", &MeasureCommand::recompute, "activation checkpointing of every block")
      .flag("masters", &MeasureCommand::masters, "with --dtype bf16, keep float32 copies of the weights")
      .example("tessera galore measure config.json --optim galore-adamw --rank 128", "does the plan tell the truth?")
      .example("tessera galore measure config.json --dtype bf16 --no-masters --per-layer --recompute", "with every saving of memory")
      .example("tessera galore measure config.json --optim adamw --json", "plain AdamW, for a script")
      .check([](const MeasureCommand& given) { train::check_optim_options(given); });
  train::add_optim_rows(table);
  return table;
}

Json rows_of(const train::TrainPlan& plan) {
  return {{"weights", plan.weights},     {"masters", plan.masters},         {"gradients", plan.gradients},
          {"optimizer", plan.optimizer}, {"activations", plan.activations}, {"head", plan.head}};
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
  const auto memory = static_cast<int64_t>(run::environment().memory_bytes);
  const auto plan = plan_measured(how);
  if (plan.bytes() > memory)
    throw InputError(
        "training this model takes about {:.1f} GB, and this machine allows {:.1f}; give a smaller --batch, --recompute, "
        "--per-layer, --dtype bf16 or a rule with less state",
        static_cast<double>(plan.bytes()) / 1e9, static_cast<double>(memory) / 1e9);
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
