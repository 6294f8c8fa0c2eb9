#include "tessera/train/plan.h"

#include <algorithm>
#include <chrono>

#include "tessera/base/error.h"
#include "tessera/base/map_cache.h"
#include "tessera/train/optim/registry.h"

namespace tessera::train {

namespace {

// Values that the backward pass of one block keeps for each token: its input and normed input, q, k, v (turned where they lie), the
// attention's output and sums, the stream between the branches and its norm; gate, up, their product.
int64_t block_values(const lm::ModelConfig& c, const lm::LayerConfig& layer) {
  const int64_t all = c.heads * c.head_width, keys = c.kv_heads * c.head_width;
  int64_t values = 0;
  if (layer.attention) values += 2 * c.width + (all + 2 * keys) + all + c.heads;
  if (layer.ffn) values += 2 * c.width + (c.gated ? 3 : 2) * layer.ffn_width;
  return values;
}

int64_t activation_bytes(const lm::ModelConfig& c, const LanguageOptions& options, int64_t element) {
  int64_t most = 0;
  for (const auto& stage : options.stages) {
    const int64_t rows = options.batch / stage.length;
    const int64_t tokens = (options.micro > 0 ? std::min(options.micro, rows) : rows) * stage.length;
    int64_t kept = 0, largest = 0;
    for (const auto& layer : c.layers) {
      kept += options.recompute ? c.width : block_values(c, layer);
      largest = std::max(largest, block_values(c, layer));
    }
    // In flight: the gradients of the block at work, and with recomputation its values too.
    const int64_t values = kept + (options.recompute ? 2 : 1) * largest + 4 * c.width;
    const int64_t mask = options.mask_documents ? tokens * stage.length * element : 0;
    most = std::max(most, tokens * values * element + mask);
  }
  return most;
}

}  // namespace

PlanInputs count_trained(const std::vector<Parameter>& weights, const std::vector<Parameter>& factors, const OptimOptions& optim,
                         const CountOptions& how) {
  PlanInputs in{.step = {.per_layer = how.per_layer}, .head = false};
  auto all = weights;
  all.insert(all.end(), factors.begin(), factors.end());
  auto moved = all;
  for (auto& parameter : moved) {
    if (how.masters && parameter.value.scalar_type() != torch::kFloat32)
      parameter.value = torch::empty(parameter.value.sizes(), torch::device(torch::kMeta));
  }
  const auto optimizer = make_optimizer(optim, std::move(moved));
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& value = all[i].value;
    const auto bytes = static_cast<int64_t>(value.nbytes()), workspace = optimizer->workspace_bytes(i, value.scalar_type());
    in.trained += value.numel();
    in.step.gradients = how.per_layer ? std::max(in.step.gradients, bytes) : in.step.gradients + bytes;
    in.step.workspace = std::max(in.step.workspace, workspace);
    in.step.updating = std::max(in.step.updating, bytes + workspace);
    if (how.masters && value.scalar_type() != torch::kFloat32) in.masters += 4 * value.numel();
    if (how.average) in.averages += 4 * value.numel();
    in.optimizer += optimizer->state_bytes(i);
    if (how.accumulate_low_rank) in.step.sums += optimizer->accumulated_bytes(i);
  }
  for (const auto& parameter : factors) in.factors += static_cast<int64_t>(parameter.value.nbytes());
  for (const auto& parameter : weights) in.head |= !parameter.matrix && parameter.value.dim() == 2;  // head, or the embedding it shares
  return in;
}

TrainPlan plan_training(const lm::ModelConfig& config, const LanguageOptions& options, const PlanInputs& inputs) {
  TrainPlan plan{inputs.step};
  plan.parameters = lm::parameter_count(config);
  plan.trained = inputs.trained;
  plan.steps = steps_of(options);
  plan.tokens = plan.steps * options.batch;
  plan.weights = plan.parameters * inputs.element + inputs.factors;
  plan.masters = inputs.masters;
  plan.optimizer = inputs.optimizer;
  plan.averages = inputs.averages;
  plan.activations = activation_bytes(config, options, inputs.element);
  plan.head = 2 * (int64_t{16} << 20) + (inputs.head ? config.vocab * config.width * (inputs.element == 4 ? 4 : 4 + inputs.element) : 0);
  plan.tied = inputs.head && config.tied_head ? config.vocab * config.width * inputs.element : 0;
  plan.program = int64_t{300} << 20;
  const bool several = options.micro > 0 && std::any_of(options.stages.begin(), options.stages.end(),
                                                        [&](const Stage& stage) { return options.micro * stage.length < options.batch; });
  if (several && !plan.per_layer) plan.sums = plan.gradients;
  plan.spare = static_cast<int64_t>(MapCache::spare(static_cast<size_t>(plan.bytes() - plan.program)));
  int64_t products = config.vocab * config.width;  // weights that every token is multiplied by
  for (int64_t i = 0; i < config.depth(); ++i) products += lm::block_parameter_count(config, i);
  const double tokens = static_cast<double>(options.batch), length = static_cast<double>(options.stages.back().length);
  const double attention = 12.0 * static_cast<double>(config.depth() * config.heads * config.head_width) * length / 2.0;
  plan.flops = tokens * (6.0 * static_cast<double>(products) + attention) * (options.recompute ? 4.0 / 3.0 : 1.0);
  return plan;
}

void check_fits(const TrainPlan& plan, int64_t memory, const std::string& rows) {
  if (plan.bytes() <= memory) return;
  const auto gigabytes = [](int64_t bytes) { return static_cast<double>(bytes) / 1e9; };
  throw InputError(
      "training this model takes about {:.1f} GB ({:.1f} of it activations), and this machine allows {:.1f}; give a smaller {}, "
      "--recompute, --per-layer, --dtype bf16 or a rule with less state",
      gigabytes(plan.bytes()), gigabytes(plan.activations), gigabytes(memory), rows);
}

double product_rate(const lm::ModelConfig& config, int64_t rows, torch::Dtype dtype) {
  torch::NoGradGuard no_grad;
  const int64_t ffn = std::max<int64_t>(1, config.layers.front().ffn_width);
  const auto x = torch::rand({rows, config.width}).to(dtype), w = torch::rand({ffn, config.width}).to(dtype);
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(50);
  double best = 0.0;
  do {
    const auto start = Clock::now();
    at::linear(x, w);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2.0 * static_cast<double>(rows * config.width * ffn) / seconds);
  } while (Clock::now() < end);
  return best;
}

}  // namespace tessera::train
