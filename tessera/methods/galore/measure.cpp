#include "tessera/methods/galore/measure.h"

#include <chrono>

#include "tessera/base/memory.h"
#include "tessera/lm/model.h"
#include "tessera/methods/galore/memory.h"
#include "tessera/tensor/quantised.h"
#include "tessera/train/language.h"
#include "tessera/train/optim/galore.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"

namespace tessera::galore {
namespace {

// Weights in `dtype` from the start: those of a large model would not fit in float32 first.
lm::Transformer random_model(const lm::ModelConfig& config, torch::Dtype dtype) {
  torch::NoGradGuard no_grad;
  lm::Transformer model(config);
  for (auto& parameter : model->parameters()) parameter.set_data(tensor::unfilled(parameter.sizes(), dtype));
  model->fuse(nn::Contents::unfilled);
  for (auto& parameter : model->parameters()) {
    if (parameter.dim() > 1) {
      parameter.normal_(0.0, config.init_std);
    } else {
      parameter.fill_(1.0 - config.norm_offset);
    }
  }
  model->train();
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(true);
  return model;
}

train::Task one_batch(const lm::Transformer& model, const MeasureOptions& options) {
  const auto tokens = torch::randint(0, options.config.vocab, {options.batch, options.seq + 1}, torch::kInt64);
  const train::LanguageRows rows{tokens.narrow(1, 0, options.seq).contiguous(), tokens.narrow(1, 1, options.seq).contiguous(), {}};
  train::Task task;
  task.parameters = train::language_parameters(model, 0.0);
  task.micro_batches = [](int64_t) { return int64_t{1}; };
  task.batch = [=, recompute = options.recompute](int64_t, int64_t) {
    const int64_t n = rows.tokens.numel();
    return train::Batch{.counted = n, .tokens = n, .loss = [=] { return train::language_loss(model, rows, recompute); }};
  };
  return task;
}

void train_steps(const MeasureOptions& options, Measured& measured, const std::function<void(int64_t, double)>& stepped) {
  torch::manual_seed(1);
  const auto model = random_model(options.config, options.dtype);
  train::Trainer trainer(
      one_batch(model, options),
      {.optimizer = [&](std::vector<train::Parameter> all) { return train::make_optimizer(options.optim, std::move(all)); },
       .schedule = {.decay = train::Decay::constant, .peak = options.rate, .total = int64_t{1} << 40},
       .clip = 0.0,
       .per_layer = options.per_layer,
       .masters = options.masters});
  for (int64_t step = 1; step <= options.steps; ++step) {
    const auto start = std::chrono::steady_clock::now();
    measured.losses.push_back(trainer.step().loss);
    measured.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    if (stepped) stepped(step, measured.losses.back());
  }
  if (const auto* stats = train::subspace_stats(trainer.optimizer())) measured.subspace_seconds = stats->seconds;
}

// Loads code, starts threads and fills the caches that any training has.
void warm_up(MeasureOptions options) {
  options.config = lm::fresh_config({{"model_type", "llama"},
                                     {"vocab_size", 512},
                                     {"hidden_size", 64},
                                     {"intermediate_size", 128},
                                     {"num_hidden_layers", 1},
                                     {"num_attention_heads", 2},
                                     {"num_key_value_heads", 2},
                                     {"max_position_embeddings", 64},
                                     {"tie_word_embeddings", false}});
  options.batch = 1;
  options.seq = 64;
  options.steps = 2;
  Measured ignored;
  train_steps(options, ignored, {});
}

}  // namespace

train::TrainPlan plan_measured(const MeasureOptions& options) {
  const auto shapes = shapes_of(tensors_of(options.config), options.dtype);
  auto inputs = train::count_trained(shapes, {}, options.optim, {.masters = options.masters, .per_layer = options.per_layer});
  inputs.element = static_cast<int64_t>(c10::elementSize(options.dtype));
  const int64_t tokens = options.batch * options.seq;
  return train::plan_training(options.config,
                              {.stages = {{.tokens = tokens * options.steps, .length = options.seq, .weights = {}}},
                               .batch = tokens,
                               .recompute = options.recompute},
                              inputs);
}

Measured measure_training(const MeasureOptions& options, const std::function<void(int64_t step, double loss)>& stepped) {
  Measured measured;
  warm_up(options);
  measured.baseline = process_memory().resident;
  train_steps(options, measured, stepped);
  measured.peak = process_memory().peak;
  return measured;
}

}  // namespace tessera::galore
