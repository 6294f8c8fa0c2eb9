// The configuration of a pre-training run, its schedule, and training in FP8.

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tessera/methods/danube/fp8_model.h"
#include "tessera/methods/danube/train_config.h"
#include "tessera/methods/danube/tuned_model.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"
#include "tests/methods/danube_model.h"

namespace tessera::danube {
namespace {

lm::Json small_config() {
  return {{"model", {{"hidden_size", 32}}},
          {"batch", 64},
          {"stages", {{{"tokens", 640}, {"seq_len", 16}}, {{"tokens", 128}, {"seq_len", 32}}}},
          {"schedule", {{"peak", 1e-2}, {"lowest", 1e-3}, {"warmup", 64}}}};
}

std::string problem(const lm::Json& json) {
  try {
    parse_train_config(json, "c.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "none";
}

TEST(TrainConfig, SaysWhereItIsWrong) {
  EXPECT_EQ(problem(small_config()), "none");
  auto json = small_config();
  json["presicion"] = "fp32";
  EXPECT_EQ(problem(json), "c.json: there is no key presicion; did you mean precision?");
  json = small_config();
  json["precision"] = "fp16";
  EXPECT_EQ(problem(json), "c.json: precision is \"fp16\"; expected one of fp32, bf16, fp8-emulate");
  json = small_config();
  json["stages"][1]["seq_len"] = 0;
  EXPECT_EQ(problem(json), "c.json: stages[1]: seq_len is 0; expected a whole number of at least 1");
  json = small_config();
  json["stages"][0]["mix"] = {{"web", -1}};
  EXPECT_EQ(problem(json), "c.json: stages[0]: mix.web is -1; expected a weight of 0 or more");
  json = small_config();
  json["stages"] = lm::Json::array();
  EXPECT_THAT(problem(json), testing::StartsWith("c.json: stages are missing; "));
  json = small_config();
  json.erase("model");
  EXPECT_THAT(problem(json), testing::StartsWith("c.json: there is no model; "));
  json = small_config();
  json["stages"][0]["lr"] = 1e-3;
  EXPECT_EQ(problem(json), "1 of 2 stages have an lr of their own; give one to every stage, or to none");
  json = small_config();
  json["recompute"] = true;
  json["precision"] = "fp8-emulate";
  EXPECT_THAT(problem(json), testing::HasSubstr("leave one of them out"));
  EXPECT_THAT(problem(lm::Json::array({1})), testing::HasSubstr("expected an object"));
}

TEST(TrainConfig, ThePapersRunIsInTheRecipe) {
  const auto config = read_train_config(std::string(TESSERA_SOURCE_DIR) + "/recipes/danube/danube-1.8b.json");
  const auto stages = stages_of(config, {"web"});
  ASSERT_EQ(stages.size(), 4U);
  const train::LanguageOptions language{.stages = stages, .batch = config.batch};
  const std::vector<int64_t> rows{576, 288, 144, 72};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(config.batch, rows[i] * stages[i].length) << "the token batch is constant";
  EXPECT_NEAR(static_cast<double>(train::steps_of(language)), 847'700.0, 50.0);
  EXPECT_EQ(train::stage_of(language, 593'398), 0U);
  EXPECT_EQ(train::stage_of(language, 593'399), 1U) << "700B tokens end within step 593398";
  const auto schedule = schedule_of(config);
  EXPECT_EQ(train::rate_at(schedule, 0), 0.0);
  EXPECT_EQ(train::rate_at(schedule, schedule.warmup), 2e-4);
  EXPECT_NEAR(train::rate_at(schedule, (schedule.warmup + schedule.total) / 2), 1.05e-4, 1e-9);
  EXPECT_NEAR(train::rate_at(schedule, schedule.total), 1e-5, 1e-15);
}

TEST(TrainConfig, TheCurveIsOfTokensWhateverTheStages) {
  auto other = small_config();
  other["stages"] = {{{"tokens", 128}, {"seq_len", 64}}, {{"tokens", 640}, {"seq_len", 8}}};
  const auto a = schedule_of(parse_train_config(small_config(), "c")), b = schedule_of(parse_train_config(other, "c"));
  for (int64_t tokens = 0; tokens <= 768; tokens += 64) EXPECT_EQ(train::rate_at(a, tokens), train::rate_at(b, tokens)) << tokens;
}

TEST(TrainConfig, StagesMayHaveConstantRates) {
  auto json = small_config();
  json["stages"][0]["lr"] = 2e-3;
  json["stages"][1]["lr"] = 5e-4;
  const auto schedule = schedule_of(parse_train_config(json, "c"));
  EXPECT_DOUBLE_EQ(train::rate_at(schedule, 32), 1e-3) << "half of the warm-up";
  EXPECT_DOUBLE_EQ(train::rate_at(schedule, 640), 2e-3) << "the last step of the first stage";
  EXPECT_DOUBLE_EQ(train::rate_at(schedule, 704), 5e-4) << "the first step of the second";
}

TEST(TrainConfig, MixesNameTheirSources) {
  auto json = small_config();
  json["stages"][1]["mix"] = {{"books", 3}, {"web", 1}};
  const auto config = parse_train_config(json, "c.json");
  const auto stages = stages_of(config, {"web", "books"});
  EXPECT_TRUE(stages[0].weights.empty());
  EXPECT_EQ(stages[1].weights, (std::vector<double>{1, 3}));
  EXPECT_THROW(stages_of(config, {"web"}), InputError);
}

torch::Tensor ids() { return torch::arange(48).view({2, 24}).remainder(50); }
train::LanguageRows rows() { return {ids(), ids().roll(-1, 1).contiguous(), {}}; }

TEST(Fp8Model, PutsEveryLinearLayerThroughItAndNothingElse) {
  auto model = small_mistral(50);
  const auto exact = train::language_loss(model, rows(), false).item<double>();
  {
    Fp8Model fp8(model, 4);
    EXPECT_EQ(fp8.layers().size(), 14U) << "2 layers of q, k, v, o, gate, up, down; no head";
    const auto loss = train::language_loss(model, rows(), false);
    loss.backward();
    EXPECT_NE(loss.item<double>(), exact);
    EXPECT_NEAR(loss.item<double>(), exact, 0.05 * exact);
    for (const auto& layer : fp8.layers()) {
      EXPECT_GT(layer.scales->input.losses().values, 0) << layer.name;
      EXPECT_GT(layer.scales->gradient.losses().values, 0) << layer.name;
    }
    torch::NoGradGuard no_grad;
    const auto before = fp8.state();
    EXPECT_NEAR(train::language_loss(model, rows(), false).item<double>(), exact, 1e-5 * exact) << "evaluation is exact";
    EXPECT_EQ(fp8.state(), before) << "and leaves the scales alone";
  }
  EXPECT_NEAR(train::language_loss(model, rows(), false).item<double>(), exact, 1e-6 * exact) << "off when it is gone";
  auto half = small_mistral(50);
  half->to(torch::kBFloat16);
  EXPECT_THROW(Fp8Model(half, 4), InputError);
}

// A task over fixed rows, in FP8.
struct Fp8Run {
  lm::Transformer model = small_mistral(50);
  std::shared_ptr<Fp8Model> fp8 = std::make_shared<Fp8Model>(model, 4);
  int64_t seen = 0;
  train::Trainer trainer{task(),
                         {.optimizer = [](std::vector<train::Parameter> p) { return train::make_optimizer({}, std::move(p)); },
                          .schedule = {.peak = 1e-2, .total = 48 * 6}}};
  train::Task task() {
    auto made = tuned_task(model, {}, {}, "");
    made.micro_batches = [](int64_t) { return int64_t{1}; };
    made.batch = [this](int64_t step, int64_t) {
      seen = step;
      auto now = rows();
      now.tokens = (now.tokens + step).remainder(50);
      return train::Batch{.counted = 48, .tokens = 48, .loss = [this, now] { return train::language_loss(model, now, false); }};
    };
    made.position = [this] { return nlohmann::ordered_json{{"seen", seen}}; };
    made.seek = [this](const nlohmann::ordered_json& position) { seen = position["seen"]; };
    return with_fp8_state(std::move(made), fp8);
  }
};

TEST(Fp8Model, ResumesBitForBit) {
  const TestFolder folder;
  std::vector<double> whole, parts;
  Fp8Run run;
  for (int i = 0; i < 6; ++i) {
    if (i == 3) {
      std::filesystem::create_directories(folder / "state");
      run.trainer.write(folder / "state");
    }
    whole.push_back(run.trainer.step().loss);
  }
  Fp8Run other;
  other.trainer.read(folder / "state");
  EXPECT_EQ(other.seen, 3);
  for (int i = 3; i < 6; ++i) parts.push_back(other.trainer.step().loss);
  EXPECT_EQ(parts, (std::vector<double>{whole[3], whole[4], whole[5]}));
  EXPECT_LT(whole[5], whole[0]);
}

}  // namespace
}  // namespace tessera::danube
