// tessera galore plan: a memory table of any model, without allocation.

#include "tessera/base/error.h"
#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/memory.h"
#include "tessera/run/environment.h"
#include "tessera/train/optim_rows.h"
#include "tessera/train/plan.h"

namespace tessera::galore {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct PlanCommand : train::OptimOptions {
  PlanCommand() { name = "galore-adamw"; }
  fs::path config;
  int64_t batch = 1, seq = 256;
  double ram = 0.0;
  bool per_layer = false, recompute = false, masters = true;
};

run::OptionTable<PlanCommand> plan_options() {
  auto table = run::OptionTable<PlanCommand>();
  table.input("CONFIG", &PlanCommand::config, "config.json, a model folder, a .gguf or a .safetensors file (only its header is read)")
      .number("batch", &PlanCommand::batch, run::Range{1, 1 << 20}, "rows of one forward pass")
      .number("seq", &PlanCommand::seq, run::Range{1, 1 << 20}, "tokens of a row")
      .number("ram", &PlanCommand::ram, run::Range{0, 1e6}, "memory to fit into; 0: this machine's")
      .unit("GB")
      .flag("per-layer", &PlanCommand::per_layer, "move each parameter in the backward pass: one gradient at a time")
      .flag("recompute", &PlanCommand::recompute, "activation checkpointing of every block")
      .flag("masters", &PlanCommand::masters, "with --dtype bf16, keep float32 copies of the weights, as tessera train does")
      .example("tessera galore plan config.json --rank 1024 --dtype bf16 --no-masters --per-layer", "the paper's setting")
      .example("tessera galore plan model.gguf --optim galore-adamw8bit --rank 256 --ram 8", "does it fit into 8 GB?")
      .example("tessera galore plan smollm2-folder --optim adamw --json", "plain AdamW, for a script")
      .check([](const PlanCommand& given) { train::check_optim_options(given); });
  train::add_optim_rows(table);
  return table;
}

struct PlannedModel {
  std::vector<ModelTensor> tensors;
  std::optional<lm::ModelConfig> config;
};

PlannedModel open_planned(const fs::path& path) {
  const auto json = fs::is_directory(path) ? path / "config.json" : path;
  if (json.extension() == ".json" && fs::exists(json)) {
    auto config = lm::read_config(json);
    return {tensors_of(config), config};
  }
  return {tensors_in(path), std::nullopt};
}

// What the backward pass keeps of one forward pass, and the head's chunks; 0 when only a header is known.
int64_t activation_bytes(const PlannedModel& model, const PlanCommand& options, int64_t element) {
  if (!model.config) return 0;
  const train::LanguageOptions language{.stages = {{.tokens = options.batch * options.seq, .length = options.seq, .weights = {}}},
                                        .batch = options.batch * options.seq,
                                        .recompute = options.recompute};
  const auto plan = train::plan_training(*model.config, language, {.element = element});
  return plan.activations + plan.head;
}

std::string gigabytes(int64_t bytes) { return fmt::format("{:.3f} GB", static_cast<double>(bytes) / 1e9); }

void plan(const PlanCommand& options, run::Context& context) {
  const auto model = open_planned(options.config);
  const bool bf16 = context.settings().dtype == run::Dtype::bf16;
  const MemoryOptions memory{.optim = options, .element = bf16 ? 2 : 4, .masters = bf16 && options.masters, .per_layer = options.per_layer};
  const auto table = memory_plan(model.tensors, memory);
  const int64_t activations = activation_bytes(model, options, memory.element), total = table.bytes() + activations;
  const auto budget = options.ram > 0.0 ? static_cast<int64_t>(options.ram * 1e9) : static_cast<int64_t>(run::environment().memory_bytes);
  const bool projects = table.projector_elements > 0;
  const int64_t best = projects ? largest_rank(model.tensors, memory, budget - activations) : 0;

  context.line("{:.1f}M parameters, {:.1f}M of them in matrices of layers; {}{}", static_cast<double>(table.elements) / 1e6,
               static_cast<double>(table.matrix_elements) / 1e6, options.name, bf16 ? ", bf16" : ", fp32");
  const std::vector<std::pair<std::string, int64_t>> rows = {{"weights", table.weights},
                                                             {"masters", table.masters},
                                                             {"gradients", table.gradients},
                                                             {"projectors", table.projectors},
                                                             {"moments", table.moments},
                                                             {"activations", activations},
                                                             {"total", total}};
  for (const auto& [name, bytes] : rows) context.line("  {:<12} {:>12}", name, gigabytes(bytes));
  if (!model.config) context.line("activations are unknown: the header says shapes only; give the config.json");
  context.line("{} {}{}", total <= budget ? "fits into" : "does not fit into", gigabytes(budget),
               !projects   ? ""
               : best == 0 ? "; no rank does"
                           : fmt::format("; the largest rank that fits is {}", best));
  context.result({{"parameters", table.elements},
                  {"matrix_parameters", table.matrix_elements},
                  {"optim", options.name},
                  {"elements", {{"projectors", table.projector_elements}, {"moments", table.moment_elements}}},
                  {"bytes",
                   {{"weights", table.weights},
                    {"masters", table.masters},
                    {"gradients", table.gradients},
                    {"largest_gradient", table.largest},
                    {"projectors", table.projectors},
                    {"moments", table.moments},
                    {"state", table.state()},
                    {"activations", model.config ? Json(activations) : Json()},
                    {"total", total}}},
                  {"budget", budget},
                  {"fits", total <= budget},
                  {"largest_rank", projects ? Json(best) : Json()}});
}

}  // namespace

run::Command plan_command() {
  return run::command("plan", "what training a model takes: weights, gradients, projectors, moments", plan_options, plan);
}

}  // namespace tessera::galore
