#include "tessera/train/adapters.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "tessera/base/error.h"
#include "tessera/train/language.h"
#include "tessera/train/lora.h"
#include "tessera/train/optim/registry.h"
#include "tests/train/doubles.h"
#include "tests/train/small_llama.h"
#include "tests/train/thrown.h"

namespace tessera::train {
namespace {

lm::Transformer adapters_model() {
  auto model = small_untied_llama();
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(true);
  return model;
}

AdapterOptions filled(Weights weights, bool fresh = true) {
  return filled_adapters({.weights = weights}, adapters_model()->config(), 40, fresh);
}

// Names of what is trained beside the factors.
std::vector<std::string> rest_of(const lm::Transformer& model) {
  std::vector<std::string> names;
  for (const auto& parameter : language_parameters(model, 0.0)) names.push_back(parameter.name);
  return names;
}

TEST(Adapters, FillsInTheDefaultsOfEveryWay) {
  const auto lora = filled(Weights::lora, false);
  EXPECT_EQ(lora.lora_rank, 8);
  EXPECT_EQ(lora.lora_alpha, 16.0);
  EXPECT_EQ(lora.lora_rest, Rest::frozen);
  EXPECT_TRUE(is_plain_lora(lora));
  EXPECT_FALSE(is_plain_lora(filled(Weights::lora, true))) << "embeddings of a fresh model are trained, too";
  const auto relora = filled(Weights::relora);
  EXPECT_EQ(relora.lora_rank, 8) << "a quarter of the width";
  EXPECT_EQ(relora.lora_alpha, 2.0);
  EXPECT_EQ(relora.restart_every, 10);
  EXPECT_EQ(relora.restart_warmup, 5);
  EXPECT_EQ(filled(Weights::full).lora_rank, std::nullopt);
}

TEST(Adapters, TrainsWhatTheWaySays) {
  for (const auto weights : {Weights::lora, Weights::low_rank, Weights::relora}) {
    auto model = adapters_model();
    adapt(model, filled(weights), 1);
    EXPECT_EQ(lora_parameters(*model).size(), 28U);
    EXPECT_THAT(rest_of(model),
                testing::UnorderedElementsAre("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
                                              "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
                                              "model.layers.1.input_layernorm.weight", "model.layers.1.post_attention_layernorm.weight"));
  }
  auto model = adapters_model();
  adapt(model, filled(Weights::lora, false), 1);
  EXPECT_TRUE(rest_of(model).empty());
  auto some = filled(Weights::lora);
  some.lora_targets = {"q_proj", "v_proj"};
  auto targeted = adapters_model();
  adapt(targeted, some, 1);
  EXPECT_EQ(lora_parameters(*targeted).size(), 8U);
  EXPECT_THAT(rest_of(targeted), testing::Contains("model.layers.0.mlp.up_proj.weight")) << "a matrix without factors is trained whole";
}

// A plan hangs factors on a model whose memory is reserved and never touched.
TEST(Adapters, APlanTouchesNoWeight) {
  auto model = adapters_model();
  const auto before = model->block(0)->self_attn->q_proj->weight.clone();
  adapt(model, filled(Weights::low_rank), 1, Touch::shapes_only);
  EXPECT_TRUE(torch::equal(before, model->block(0)->self_attn->q_proj->weight));
  EXPECT_EQ(lora_parameters(*model).size(), 28U);
}

// Trains 12 steps with a restart behind the 5th and 10th; `stop` (0: never) saves there and goes on in a fresh trainer.
std::vector<double> losses_of_relora(int64_t stop) {
  torch::manual_seed(5);
  const auto ids = torch::randint(0, 40, {12, 2, 17}, torch::kInt64);
  auto options = filled(Weights::relora);
  options.restart_every = 5;
  options.restart_warmup = 2;
  const TrainFolder folder;
  std::vector<double> losses;
  const auto trainer_over = [&](lm::Transformer model) {
    adapt(model, options, 3);
    Task task;
    task.parameters = language_parameters(model, 0.0);
    task.micro_batches = [](int64_t) { return int64_t{1}; };
    task.batch = [model, ids](int64_t step, int64_t) {
      const LanguageRows rows{ids[step - 1].narrow(1, 0, 16).contiguous(), ids[step - 1].narrow(1, 1, 16).contiguous(), {}};
      return Batch{.counted = 32, .tokens = 32, .loss = [=] { return language_loss(model, rows, false); }};
    };
    task.write_model = [model](const std::filesystem::path& to) {
      std::vector<torch::Tensor> all;
      for (const auto& parameter : model->parameters()) all.push_back(parameter.detach());
      torch::save(all, (to / "model.pt").string());
    };
    task.read_model = [model](const std::filesystem::path& from) {
      torch::NoGradGuard no_grad;
      std::vector<torch::Tensor> all;
      torch::load(all, (from / "model.pt").string());
      for (size_t i = 0; i < all.size(); ++i) model->parameters()[i].copy_(all[i]);
    };
    adapt_task(task, model, options, 3, 0.0);
    Schedule schedule{.decay = Decay::constant, .peak = 0.01, .total = 12 * 32};
    add_restarts(schedule, options, 32);
    return std::make_unique<Trainer>(
        std::move(task), TrainerOptions{.optimizer = [](auto all) { return make_optimizer({}, std::move(all)); }, .schedule = schedule});
  };
  auto trainer = trainer_over(adapters_model());
  for (int64_t step = 1; step <= 12; ++step) {
    const auto report = trainer->step();
    EXPECT_EQ(report.rate, step % 5 == 1 && step > 1 ? 0.005 : 0.01) << step;
    losses.push_back(report.loss);
    if (step != stop) continue;
    trainer->write(folder.path());
    trainer = trainer_over(adapters_model());
    trainer->read(folder.path());
  }
  return losses;
}

TEST(Adapters, ReLoraContinuesBitForBitAroundItsRestarts) {
  const auto whole = losses_of_relora(0);
  for (const int64_t stop : {3, 5, 6, 10}) EXPECT_EQ(losses_of_relora(stop), whole) << "stopped after step " << stop;
}

TEST(Adapters, RefusesWhatSaysNothing) {
  const auto refused = [](const AdapterOptions& options) { return input_error_of([&] { check_adapters(options); }); };
  EXPECT_EQ(refused({.weights = Weights::full, .lora_rank = 4}),
            "--lora-rank says nothing to --weights full; give --weights lora or low-rank or relora, or leave it out");
  EXPECT_EQ(refused({.weights = Weights::low_rank, .lora_alpha = 4.0}),
            "--lora-alpha says nothing to --weights low-rank; give --weights lora or relora, or leave it out");
  EXPECT_THAT(refused({.weights = Weights::lora, .restart_every = 4}), testing::StartsWith("--restart-every says nothing"));
  EXPECT_THAT(refused({.weights = Weights::relora, .restart_every = 4, .restart_warmup = 4}), testing::HasSubstr("whole cycle of 4 steps"));
  EXPECT_THAT(refused({.weights = Weights::lora, .lora_rank = 0}), testing::StartsWith("--lora-rank 0"));
  EXPECT_THAT(refused({.weights = Weights::relora, .restart_keep = 1.5}), testing::StartsWith("--restart-keep 1.5"));
}

}  // namespace
}  // namespace tessera::train
