#include "tessera/train/optim/registry.h"

#include <fmt/ranges.h>

#include "tessera/base/error.h"
#include "tessera/run/options_row.h"
#include "tessera/train/optim/adafactor_rule.h"
#include "tessera/train/optim/adam8bit_rule.h"
#include "tessera/train/optim/adam_rule.h"
#include "tessera/train/optim/galore.h"
#include "tessera/train/optim/muon_rule.h"
#include "tessera/train/optim/sgd_rule.h"

namespace tessera::train {

namespace {

// One rule: what it is called, which fields it reads, how it is made.
struct OptimRule {
  std::string name, help;
  std::vector<std::string> reads;  // the options' names
  std::unique_ptr<Optimizer> (*make)(const OptimOptions&, std::vector<Parameter>);
};

torch::Dtype moment_dtype(const OptimOptions& options) {
  return options.state_dtype == StateDtype::bfloat16 ? torch::kBFloat16 : torch::kFloat32;
}

AdamOptions adam_options(const OptimOptions& options, AdamForm form, double eps) {
  return {.beta1 = options.beta1.value_or(0.9),
          .beta2 = options.beta2.value_or(0.999),
          .eps = options.eps.value_or(eps),
          .form = form,
          .state_dtype = moment_dtype(options)};
}

using Parameters = std::vector<Parameter>;

std::unique_ptr<Optimizer> make_adamw(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<RuleOptimizer>(std::move(parameters), std::make_unique<AdamUpdate>(adam_options(o, AdamForm::corrected, 1e-8)));
}

std::unique_ptr<Optimizer> make_sgd(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<RuleOptimizer>(std::move(parameters),
                                         std::make_unique<SgdUpdate>(o.momentum.value_or(0.9), o.nesterov.value_or(false)));
}

AdafactorOptions adafactor_options(const OptimOptions& o) {
  return {.beta1 = o.beta1.value_or(0.0),
          .eps = o.eps.value_or(1e-30),
          .scale_parameter = o.scale_parameter.value_or(false),
          .relative_step = o.relative_step.value_or(false),
          .warmup_init = o.warmup_init.value_or(false)};
}

std::unique_ptr<Optimizer> make_adafactor(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<RuleOptimizer>(std::move(parameters), std::make_unique<AdafactorUpdate>(adafactor_options(o)));
}

std::unique_ptr<Optimizer> make_lion(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<RuleOptimizer>(std::move(parameters),
                                         std::make_unique<LionUpdate>(o.beta1.value_or(0.9), o.beta2.value_or(0.99)));
}

std::unique_ptr<Optimizer> make_muon(const OptimOptions& o, Parameters parameters) {
  const MuonOptions muon{.momentum = o.momentum.value_or(0.95),
                         .eps = o.eps.value_or(1e-7),
                         .nesterov = o.nesterov.value_or(true),
                         .rate = o.muon_rate.value_or(MuonRate::adamw)};
  return std::make_unique<RuleOptimizer>(std::move(parameters), std::make_unique<AdamUpdate>(AdamOptions{}),
                                         std::make_unique<MuonUpdate>(muon));
}

std::unique_ptr<Optimizer> make_adamw8bit(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<RuleOptimizer>(std::move(parameters),
                                         std::make_unique<Adam8bitUpdate>(adam_options(o, AdamForm::corrected, 1e-8)));
}

GaLoreOptions galore_options(const OptimOptions& o) {
  return {.projector = {.rank = o.rank.value_or(128),
                        .projection = o.projection.value_or(Projection::standard),
                        .square = o.square.value_or(SquareSide::right),
                        .svd = o.svd.value_or(Svd::gram),
                        .dtype = o.projector_dtype.value_or(ProjectorDtype::float32)},
          .gap = o.gap.value_or(200),
          .scale = o.scale.value_or(0.25),
          .on_switch = o.on_switch.value_or(OnSwitch::keep),
          .rank_energy = o.rank_energy.value_or(0.0),
          .stagger = o.stagger.value_or(false),
          .compat = o.compat.value_or(false)};
}

std::unique_ptr<Optimizer> make_galore_adamw(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<GaLore>(std::move(parameters), std::make_unique<AdamUpdate>(adam_options(o, AdamForm::uncorrected, 1e-6)),
                                  galore_options(o));
}

std::unique_ptr<Optimizer> make_galore_adafactor(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<GaLore>(std::move(parameters), std::make_unique<AdafactorUpdate>(adafactor_options(o)), galore_options(o));
}

std::unique_ptr<Optimizer> make_galore_adamw8bit(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<GaLore>(std::move(parameters), std::make_unique<Adam8bitUpdate>(adam_options(o, AdamForm::corrected, 1e-8)),
                                  galore_options(o));
}

std::unique_ptr<Optimizer> make_galore_sgd(const OptimOptions& o, Parameters parameters) {
  return std::make_unique<GaLore>(std::move(parameters), std::make_unique<SgdUpdate>(o.momentum.value_or(0.9), o.nesterov.value_or(false)),
                                  galore_options(o));
}

// The projector's own options, after those of the rule inside.
std::vector<std::string> with_projector(std::vector<std::string> reads) {
  for (const char* name : {"rank", "rank-energy", "targets", "gap", "scale", "proj", "svd", "proj-dtype", "on-switch", "square", "stagger"})
    reads.emplace_back(name);
  return reads;
}

std::vector<OptimRule> optim_rules() {
  return {
      {"adamw", "Adam with decoupled weight decay; 8 bytes of state a weight", {"beta1", "beta2", "eps", "state-dtype"}, make_adamw},
      {"sgd", "gradient descent with momentum; 4 bytes of state a weight", {"momentum", "nesterov"}, make_sgd},
      {"adafactor",
       "second moments factored into rows and columns; almost no state",
       {"beta1", "eps", "scale-parameter", "relative-step", "warmup-init"},
       make_adafactor},
      {"lion", "the sign of an average; 4 bytes of state a weight; rates 3 to 10 times below AdamW's", {"beta1", "beta2"}, make_lion},
      {"muon",
       "orthogonal momentum for matrices, AdamW for the rest; 4 bytes of state a weight of a matrix",
       {"momentum", "nesterov", "eps", "muon-rate"},
       make_muon},
      {"adamw8bit",
       "AdamW with moments of 8 bits in blocks of 256; 2.03 bytes of state a weight",
       {"beta1", "beta2", "eps"},
       make_adamw8bit},
      {"galore-adamw", "Adam inside a low-rank subspace of each matrix's gradient (GaLore); full weights are trained",
       with_projector({"beta1", "beta2", "eps", "state-dtype"}), make_galore_adamw},
      {"galore-adamw8bit", "GaLore with moments of 8 bits: the least state for full training",
       with_projector({"beta1", "beta2", "eps", "compat"}), make_galore_adamw8bit},
      {"galore-adafactor", "Adafactor inside GaLore's subspace",
       with_projector({"beta1", "eps", "scale-parameter", "relative-step", "warmup-init"}), make_galore_adafactor},
      {"galore-sgd", "momentum inside GaLore's subspace", with_projector({"momentum", "nesterov"}), make_galore_sgd},
  };
}

OptimRule rule_of(const std::string& given) {
  const auto name = optim_name(given);
  const auto rules = optim_rules();
  return *std::find_if(rules.begin(), rules.end(), [&](const OptimRule& rule) { return rule.name == name; });
}

// The names of the fields that are set.
std::vector<std::string> given_fields(const OptimOptions& o) {
  const std::vector<std::pair<std::string, bool>> fields = {
      {"beta1", o.beta1.has_value()},
      {"beta2", o.beta2.has_value()},
      {"eps", o.eps.has_value()},
      {"momentum", o.momentum.has_value()},
      {"nesterov", o.nesterov.has_value()},
      {"state-dtype", o.state_dtype.has_value()},
      {"muon-rate", o.muon_rate.has_value()},
      {"scale-parameter", o.scale_parameter.has_value()},
      {"relative-step", o.relative_step.has_value()},
      {"warmup-init", o.warmup_init.has_value()},
      {"rank", o.rank.has_value()},
      {"rank-energy", o.rank_energy.has_value()},
      {"targets", !o.targets.empty()},
      {"gap", o.gap.has_value()},
      {"scale", o.scale.has_value()},
      {"proj", o.projection.has_value()},
      {"svd", o.svd.has_value()},
      {"proj-dtype", o.projector_dtype.has_value()},
      {"on-switch", o.on_switch.has_value()},
      {"square", o.square.has_value()},
      {"stagger", o.stagger.has_value()},
      {"compat", o.compat.has_value()},
  };
  std::vector<std::string> given;
  for (const auto& [name, set] : fields) {
    if (set) given.push_back(name);
  }
  return given;
}

void check_unit(const char* option, const std::optional<double>& value) {
  if (value && !(*value >= 0.0 && *value < 1.0)) throw InputError("--{} {}: expected a share; give 0 or more and below 1", option, *value);
}

void check_positive(const char* option, const std::optional<double>& value) {
  if (value && !(*value > 0.0)) throw InputError("--{} {}: expected a positive number; give one above 0", option, *value);
}

// Leaves the mark of a matrix on those whose name holds one of the words.
void keep_targets(const std::vector<std::string>& words, Parameters& parameters) {
  if (words.empty()) return;
  std::vector<std::string> names;
  for (const auto& parameter : parameters) {
    if (parameter.matrix) names.push_back(parameter.name);
  }
  for (const auto& word : words) {
    if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return name.find(word) != std::string::npos; })) continue;
    if (names.size() > 14) names.resize(14);
    throw InputError("--targets {}: no matrix has it in its name; there are {}", tessera::quoted(word), fmt::join(names, ", "));
  }
  for (auto& parameter : parameters) {
    parameter.matrix = parameter.matrix && std::any_of(words.begin(), words.end(),
                                                       [&](const auto& word) { return parameter.name.find(word) != std::string::npos; });
  }
}

}  // namespace

std::vector<OptimName> optim_names() {
  std::vector<OptimName> names;
  for (const auto& rule : optim_rules()) names.push_back({rule.name, rule.help});
  return names;
}

std::string optim_name(const std::string& given) {
  std::string name = given;
  std::replace(name.begin(), name.end(), '_', '-');
  std::vector<std::string> names;
  for (const auto& each : optim_names()) names.push_back(each.name);
  if (std::find(names.begin(), names.end(), name) != names.end()) return name;
  const auto near = run::nearest(name, names);
  throw InputError("--optim {}: no such optimizer; {}", tessera::quoted(given),
                   near.empty() ? fmt::format("give one of {}", fmt::join(names, ", ")) : "did you mean " + near + "?");
}

void check_optim_options(const OptimOptions& options) {
  const auto rule = rule_of(options.name);
  for (const auto& field : given_fields(options)) {
    if (std::find(rule.reads.begin(), rule.reads.end(), field) == rule.reads.end()) {
      throw InputError("--{} says nothing to --optim {}; it takes {}", field, rule.name, fmt::join(rule.reads, ", "));
    }
  }
  check_unit("beta1", options.beta1);
  check_unit("beta2", options.beta2);
  check_unit("momentum", options.momentum);
  check_positive("eps", options.eps);
  check_positive("scale", options.scale);
  if (options.rank && *options.rank < 1)
    throw InputError("--rank {}: a subspace has at least one dimension; give 1 or more", *options.rank);
  if (options.rank_energy && !(*options.rank_energy > 0.0 && *options.rank_energy <= 1.0))
    throw InputError("--rank-energy {}: expected a share of the gradient's squares; give more than 0 and at most 1", *options.rank_energy);
  if (options.on_switch == OnSwitch::rotate && (rule.name == "galore-adafactor" || rule.name == "galore-sgd")) {
    throw InputError("--on-switch rotate turns Adam's two moments and {} has others; give keep or reset", rule.name);
  }
  if (options.gap && *options.gap < 1) throw InputError("--gap {}: expected updates between two refreshes; give 1 or more", *options.gap);
}

std::unique_ptr<Optimizer> make_optimizer(const OptimOptions& options, std::vector<Parameter> parameters) {
  check_optim_options(options);
  keep_targets(options.targets, parameters);
  return rule_of(options.name).make(options, std::move(parameters));
}

}  // namespace tessera::train
