// One arm of the experiment: the small model through the shared trainer.

#include <algorithm>
#include <chrono>
#include <numeric>

#include "tessera/base/interrupt.h"
#include "tessera/lm/save.h"
#include "tessera/methods/danube/experiment.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"

namespace tessera::danube {

lm::Transformer fresh_model(const Plan& plan, int64_t vocab, uint64_t seed) {
  lm::Transformer model(lm::fresh_config({{"model_type", "mistral"},
                                          {"vocab_size", vocab},
                                          {"hidden_size", plan.width},
                                          {"intermediate_size", plan.ffn},
                                          {"num_hidden_layers", plan.layers},
                                          {"num_attention_heads", plan.heads},
                                          {"num_key_value_heads", plan.kv_heads},
                                          {"max_position_embeddings", plan.lengths.back()},
                                          {"sliding_window", plan.window},
                                          {"rms_norm_eps", 1e-5},
                                          {"initializer_range", 0.02},
                                          {"tie_word_embeddings", false}}));
  lm::init_weights(model, seed);
  model->fuse();
  return model;
}

lm::Transformer copy_of(const lm::Transformer& model) {
  torch::NoGradGuard no_grad;
  lm::Transformer copy(model->config());
  const auto from = model->named_parameters();
  for (auto& item : copy->named_parameters()) item.value().copy_(*from.find(item.key()));
  copy->fuse();
  return copy;
}

std::vector<std::vector<double>> window_nats(lm::Transformer model, const std::vector<std::vector<int64_t>>& windows) {
  torch::NoGradGuard no_grad;
  std::vector<std::vector<double>> nats;
  for (const auto& window : windows) {
    const auto ids = torch::tensor(window).unsqueeze(0);
    const int64_t length = ids.size(1) - 1;
    const auto losses = model->losses(model->hidden(ids.narrow(1, 0, length)), ids.narrow(1, 1, length)).to(torch::kDouble).contiguous();
    nats.emplace_back(losses.data_ptr<double>(), losses.data_ptr<double>() + length);
  }
  return nats;
}

double mean_of_all(const std::vector<std::vector<double>>& nats) {
  double sum = 0.0, count = 0.0;
  for (const auto& window : nats) {
    sum += std::accumulate(window.begin(), window.end(), 0.0);
    count += static_cast<double>(window.size());
  }
  return sum / count;
}

double ArmRun::wall() const { return std::accumulate(stage_seconds.begin(), stage_seconds.end(), 0.0); }

namespace {

double median_step(std::vector<double> seconds) {
  if (seconds.empty()) return 0.0;
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2), seconds.end());
  return seconds[seconds.size() / 2];
}

train::TrainerOptions arm_trainer(const ArmOptions& options, int64_t total) {
  return {
      .optimizer = [](std::vector<train::Parameter> p) { return train::make_optimizer({.name = "adamw", .beta2 = 0.95}, std::move(p)); },
      .schedule =
          {.decay = train::Decay::cosine, .peak = options.rate, .lowest = 0.05 * options.rate, .warmup = total * 3 / 100, .total = total},
      .clip = 1.0};
}

}  // namespace

ArmRun train_arm(const Plan& plan, lm::Transformer model, std::vector<train::MixedTokens::Corpus> corpora, const ArmOptions& options) {
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(true);
  const train::LanguageOptions language{.stages = options.stages, .batch = plan.batch, .weight_decay = 0.1};
  const auto mixed = std::make_shared<train::MixedTokens>(std::move(corpora),
                                                          train::MixedTokensOptions{.seed = options.seed, .piece = plan.lengths.back()});
  const auto write = [model](const std::filesystem::path& folder) { lm::save_model(model, folder, {}); };
  const int64_t steps = train::steps_of(language), every = std::max<int64_t>(1, steps / 20);
  train::Trainer trainer(train::language_task(model, mixed, {}, language, write), arm_trainer(options, steps * plan.batch));
  if (!options.start_at.empty()) trainer.read(options.start_at);
  ArmRun run{.model = model};
  std::vector<std::vector<double>> step_seconds(options.stages.size());
  double wall = 0.0;
  for (int64_t step = trainer.steps_done() + 1; step <= steps; ++step) {
    throw_if_interrupted();
    const auto start = std::chrono::steady_clock::now();
    const auto report = trainer.step();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const size_t stage = train::stage_of(language, step);
    step_seconds[stage].push_back(seconds);
    wall += seconds;
    if (step % every == 0 || step == steps) {
      run.tokens.push_back(static_cast<double>(report.tokens));
      run.loss.push_back(report.smoothed);
      run.seconds.push_back(wall);
    }
    if (options.measure_every > 0 && step % options.measure_every == 0) run.checkpoints.emplace_back(report.tokens, options.measure(model));
    const bool stage_ends = step == steps || train::stage_of(language, step + 1) != stage;
    if (stage == 0 && stage_ends && !options.save_to.empty()) {
      std::filesystem::create_directories(options.save_to);
      trainer.write(options.save_to);
    }
  }
  for (const auto& seconds : step_seconds) run.stage_seconds.push_back(static_cast<double>(seconds.size()) * median_step(seconds));
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(false);
  return run;
}

}  // namespace tessera::danube
