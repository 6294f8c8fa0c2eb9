// tessera galore plan: a memory table of any model, without allocation.

#include "tessera/base/error.h"
#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/memory.h"
#include "tessera/methods/galore/step_options.h"
#include "tessera/run/environment.h"

namespace tessera::galore {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct PlanCommand : StepOptions {
  PlanCommand() : StepOptions(1) {}
  double ram = 0.0;
};

run::OptionTable<PlanCommand> plan_options() {
  auto table = run::OptionTable<PlanCommand>();
  add_step_rows(table, "config.json, a model folder, a .gguf or a .safetensors file (only its header is read)");
  table.number("ram", &PlanCommand::ram, run::Range{0, 1e6}, "memory to fit into; 0: this machine's")
      .unit("GB")
      .example("tessera galore plan config.json --rank 1024 --dtype bf16 --no-masters --per-layer", "the paper's setting")
      .example("tessera galore plan model.gguf --optim galore-adamw8bit --rank 256 --ram 8", "does it fit into 8 GB?")
      .example("tessera galore plan smollm2-folder --optim adamw --json", "plain AdamW, for a script");
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

// Adds what the backward pass keeps of one forward pass, and what the head's loss makes.
void count_activations(const lm::ModelConfig& config, const PlanCommand& options, MemoryOptions& memory) {
  const train::LanguageOptions language{.stages = {{.tokens = options.batch * options.seq, .length = options.seq, .weights = {}}},
                                        .batch = options.batch * options.seq,
                                        .recompute = options.recompute};
  memory.model = train::plan_training(config, language, {.element = memory.element});
}

std::string gigabytes(int64_t bytes) { return fmt::format("{:.3f} GB", static_cast<double>(bytes) / 1e9); }

void plan(const PlanCommand& options, run::Context& context) {
  const auto model = open_planned(options.config);
  const bool bf16 = context.settings().dtype == run::Dtype::bf16;
  MemoryOptions memory{.optim = options, .element = bf16 ? 2 : 4, .masters = bf16 && options.masters, .per_layer = options.per_layer};
  if (model.config) count_activations(*model.config, options, memory);
  const auto table = memory_plan(model.tensors, memory);
  const int64_t total = table.bytes();
  const auto budget = options.ram > 0.0 ? static_cast<int64_t>(options.ram * 1e9) : static_cast<int64_t>(run::environment().memory_bytes);
  const bool projects = table.projector_elements > 0;
  const int64_t best = projects ? largest_rank(model.tensors, memory, budget) : 0;

  context.line("{:.1f}M parameters, {:.1f}M of them in matrices of layers; {}{}", static_cast<double>(table.elements) / 1e6,
               static_cast<double>(table.matrix_elements) / 1e6, options.name, bf16 ? ", bf16" : ", fp32");
  const std::vector<std::pair<std::string, int64_t>> rows = {
      {"weights", table.weights}, {"masters", table.masters},         {"gradients", table.gradients}, {"projectors", table.projectors},
      {"moments", table.moments}, {"activations", table.activations}, {"head", table.head},           {"workspace", table.workspace},
      {"at once", total}};
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
                    {"largest_gradient", table.largest_gradient},
                    {"projectors", table.projectors},
                    {"moments", table.moments},
                    {"state", table.state()},
                    {"activations", model.config ? Json(table.activations) : Json()},
                    {"head", model.config ? Json(table.head) : Json()},
                    {"workspace", table.workspace},
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
