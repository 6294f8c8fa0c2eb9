// One arm of the experiment: a small Llama over bytes, trained by the shared loop.

#include <cmath>

#include "tessera/base/random.h"
#include "tessera/methods/galore/reproduce.h"
#include "tessera/train/language.h"
#include "tessera/train/lora.h"
#include "tessera/train/low_rank.h"
#include "tessera/train/optim/galore.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"

namespace tessera::galore {
namespace {

lm::Transformer byte_model(const Plan& plan, uint64_t seed) {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 256},
                                          {"hidden_size", plan.width},
                                          {"intermediate_size", plan.ffn},
                                          {"num_hidden_layers", plan.layers},
                                          {"num_attention_heads", plan.heads},
                                          {"num_key_value_heads", plan.heads},
                                          {"max_position_embeddings", plan.length},
                                          {"rms_norm_eps", 1e-6},
                                          {"initializer_range", 0.02},
                                          {"tie_word_embeddings", false}}));
  lm::init_weights(model, seed);
  return model;
}

// Row r of the text at a byte offset.
void copy_row(const std::string& text, size_t at, int64_t row, train::LanguageRows& rows) {
  const int64_t length = rows.tokens.size(1);
  for (int64_t i = 0; i < length; ++i) {
    rows.tokens.data_ptr<int64_t>()[row * length + i] = static_cast<unsigned char>(text[at + i]);
    rows.targets.data_ptr<int64_t>()[row * length + i] = static_cast<unsigned char>(text[at + i + 1]);
  }
}

train::LanguageRows empty_rows(int64_t rows, int64_t length) {
  return {torch::empty({rows, length}, torch::kInt64), torch::empty({rows, length}, torch::kInt64), {}};
}

// What is trained, with each kind's share of the schedule's rate.
std::vector<train::Parameter> arm_parameters(lm::Transformer& model, const Arm& arm, const Plan& plan, uint64_t seed) {
  if (arm.weights == Weights::low_rank) train::make_low_rank(*model, {.rank = plan.rank, .seed = seed});
  if (arm.weights == Weights::lora)
    train::add_lora(*model, {.rank = plan.rank, .alpha = 2.0 * static_cast<double>(plan.rank), .seed = seed});
  if (arm.weights != Weights::full) {
    for (auto& item : model->named_parameters()) {
      const bool layer_matrix = item.value().dim() == 2 && item.key().find(".layers.") != std::string::npos;
      if (!layer_matrix) item.value().requires_grad_(true);
    }
  }
  auto all = train::language_parameters(model, 0.0);
  for (auto& parameter : all) parameter.lr_scale = parameter.matrix ? 1.0 : arm.other_rate / arm.matrix_rate;
  for (auto& adapter : train::lora_parameters(*model)) all.push_back(std::move(adapter));
  return all;
}

std::vector<double> held_out_nats(lm::Transformer& model, const Plan& plan, const std::string& text) {
  torch::NoGradGuard no_grad;
  std::vector<double> nats;
  const size_t room = text.size() - static_cast<size_t>(plan.length) - 1;
  for (int64_t begin = 0; begin < plan.evaluation_rows; begin += plan.rows) {
    const int64_t n = std::min(plan.rows, plan.evaluation_rows - begin);
    auto rows = empty_rows(n, plan.length);
    for (int64_t r = 0; r < n; ++r)
      copy_row(text, room * static_cast<size_t>(begin + r) / static_cast<size_t>(plan.evaluation_rows), r, rows);
    const auto losses = model->losses(model->hidden(rows.tokens), rows.targets).mean(1, false, torch::kDouble).contiguous();
    nats.insert(nats.end(), losses.data_ptr<double>(), losses.data_ptr<double>() + n);
  }
  return nats;
}

}  // namespace

static train::OptimOptions galore(const std::string& name, const Plan& plan, int64_t gap) {
  return {.name = name, .rank = plan.rank, .gap = gap, .scale = 0.25};
}

std::vector<Arm> arms_of(const Plan& plan) {
  return {
      {.key = "A", .name = "AdamW, full rank", .optim = {.name = "adamw"}, .matrix_rate = 0.001, .other_rate = 0.02, .seeds = plan.seeds},
      {.key = "B",
       .name = "GaLore-AdamW",
       .optim = galore("galore-adamw", plan, plan.gap),
       .matrix_rate = 0.02,
       .other_rate = 0.02,
       .seeds = plan.seeds},
      {.key = "F",
       .name = "GaLore-AdamW8bit",
       .optim = galore("galore-adamw8bit", plan, plan.gap),
       .matrix_rate = 0.02,
       .other_rate = 0.02,
       .seeds = plan.seeds},
      {.key = "C", .name = "W = B A", .weights = Weights::low_rank, .optim = {.name = "adamw"}, .matrix_rate = 0.001, .other_rate = 0.02},
      {.key = "D",
       .name = "GaLore-AdamW, first subspace kept",
       .optim = galore("galore-adamw", plan, 1'000'000),
       .matrix_rate = 0.02,
       .other_rate = 0.02},
      {.key = "E",
       .name = "LoRA on a random base",
       .weights = Weights::lora,
       .optim = {.name = "adamw"},
       .matrix_rate = 0.0025,
       .other_rate = 0.01}};
}

ArmResult run_arm(const Arm& arm, const Plan& plan, const Prose& prose, uint64_t seed) {
  auto model = byte_model(plan, seed);
  const RandomStream order(seed, "galore/rows");
  const int64_t step_tokens = plan.rows * plan.length;
  train::Task task;
  task.parameters = arm_parameters(model, arm, plan, seed);
  task.micro_batches = [](int64_t) { return int64_t{1}; };
  task.batch = [&](int64_t step, int64_t) {
    auto places = order.at(static_cast<uint64_t>(step));
    auto rows = empty_rows(plan.rows, plan.length);
    for (int64_t r = 0; r < plan.rows; ++r) copy_row(prose.training, places.below(prose.training.size() - plan.length - 1), r, rows);
    return train::Batch{
        .counted = step_tokens, .tokens = step_tokens, .loss = [&model, rows] { return train::language_loss(model, rows, false); }};
  };
  const int64_t total = plan.steps * step_tokens;
  train::Trainer trainer(
      std::move(task),
      {.optimizer = [&](std::vector<train::Parameter> p) { return train::make_optimizer(arm.optim, std::move(p)); },
       .schedule =
           {.decay = train::Decay::cosine, .peak = arm.matrix_rate, .lowest = 0.1 * arm.matrix_rate, .warmup = total / 10, .total = total},
       .clip = 0.0});
  ArmResult result;
  const auto& optimizer = trainer.optimizer();
  for (size_t i = 0; i < optimizer.parameters().size(); ++i) result.said_bytes += optimizer.state_bytes(i);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t step = 1; step <= plan.steps; ++step) {
    const auto report = trainer.step();
    if (step % std::max<int64_t>(1, plan.steps / 20) == 0) result.curve.push_back(report.smoothed);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (size_t i = 0; i < optimizer.parameters().size(); ++i) {
    for (const auto& [name, tensor] : optimizer.state(i)) result.state_bytes += static_cast<int64_t>(tensor.nbytes());
  }
  if (const auto* stats = train::subspace_stats(optimizer)) {
    result.subspace_seconds = stats->seconds;
    result.overlap = stats->overlap;
  }
  result.nats = held_out_nats(model, plan, prose.held_out);
  return result;
}

}  // namespace tessera::galore
