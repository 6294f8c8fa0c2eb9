#include "tessera/train/trainer.h"

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tessera/train/optim/registry.h"
#include "tests/train/doubles.h"

namespace tessera::train {

static std::string what_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Trainer, MicroBatchesHaveOneDenominator) {
  Regression whole, parts;
  parts.micro = 5;  // 5, 5 and a last partial window of 2
  Trainer a(whole.task(), whole.options()), b(parts.task(), parts.options());
  for (int i = 0; i < 5; ++i) {
    torch::manual_seed(40 + i);
    const auto one = a.step();
    torch::manual_seed(40 + i);
    const auto three = b.step();
    EXPECT_NEAR(one.loss, three.loss, 1e-6 * one.loss);
    EXPECT_NEAR(one.norm, three.norm, 1e-6 * one.norm);
    EXPECT_EQ(three.counted, 12);
  }
  EXPECT_LE((whole.w1 - parts.w1).abs().max().item<double>(), 1e-6);
}

// GaLore, the paper's per-layer updates: the same weights, bit for bit, with one gradient at a time.
TEST(Trainer, GaLoreInTheBackwardPassEqualsTheGlobalUpdate) {
  std::vector<torch::Tensor> ends;
  for (const bool per_layer : {false, true}) {
    Regression regression;
    auto options = regression.options();
    options.optimizer = [](auto all) { return make_optimizer({.name = "galore-adamw", .rank = 2, .gap = 3}, std::move(all)); };
    options.clip = 0.0;
    options.per_layer = per_layer;
    Trainer trainer(regression.task(), options);
    torch::manual_seed(9);
    for (int i = 0; i < 10; ++i) trainer.step();
    ends.push_back(regression.w1.detach().clone());
    ends.push_back(regression.w2.detach().clone());
  }
  EXPECT_TRUE(ends[0].equal(ends[2]));
  EXPECT_TRUE(ends[1].equal(ends[3]));
}

// At full rank the subspace holds every gradient: micro-batches added up in it are the whole batch.
TEST(Trainer, LowRankAccumulationEqualsTheWholeBatchAtFullRank) {
  std::vector<torch::Tensor> ends;
  for (const int64_t micro : {12, 5}) {
    Regression regression;
    regression.micro = micro;
    auto options = regression.options();
    options.optimizer = [](auto all) {
      return make_optimizer({.name = "galore-sgd", .momentum = 0.5, .rank = 5, .gap = 100, .scale = 1.0}, std::move(all));
    };
    options.clip = 0.0;
    options.per_layer = true;
    options.accumulate_low_rank = true;
    Trainer trainer(regression.task(), options);
    torch::manual_seed(9);
    for (int i = 0; i < 6; ++i) trainer.step();
    ends.push_back(regression.w1.detach().clone());
    ends.push_back(regression.w2.detach().clone());
  }
  EXPECT_TRUE(torch::allclose(ends[0], ends[2], 1e-4, 1e-5));
  EXPECT_TRUE(torch::allclose(ends[1], ends[3], 1e-4, 1e-5));
  Regression regression;
  auto options = regression.options();
  options.clip = 0.0;
  options.per_layer = true;
  options.accumulate_low_rank = true;
  EXPECT_THROW(Trainer(regression.task(), options), InputError) << "plain AdamW has no such space";
}

TEST(Trainer, ContinuesBitForBitAfterAResume) {
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    TrainFolder folder;
    std::vector<double> plain, resumed;
    const auto steps = [](Trainer& trainer, int n, std::vector<double>& losses) {
      for (int i = 0; i < n; ++i) {
        const auto report = trainer.step();
        losses.insert(losses.end(), {report.loss, report.smoothed, report.norm, report.rate});
      }
    };
    Regression first(dtype);
    auto options = first.options();
    options.ema = 0.9;
    {
      torch::manual_seed(9);
      Trainer trainer(first.task(), options);
      steps(trainer, 10, plain);
      resumed = plain;
      std::filesystem::create_directory(folder / "saved");
      trainer.write(folder / "saved");
      steps(trainer, 10, plain);
    }
    torch::manual_seed(12345);
    Regression second(dtype);
    second.w1.detach().zero_();
    Trainer trainer(second.task(), options);
    trainer.read(folder / "saved");
    EXPECT_EQ(second.seen, 120);
    steps(trainer, 10, resumed);
    EXPECT_EQ(plain, resumed);
    EXPECT_TRUE(torch::equal(first.w1, second.w1));
    torch::Tensor average1, average2;
    trainer.with_averaged_weights([&] { average2 = second.w1.detach().clone(); });
    EXPECT_FALSE(torch::equal(average2, second.w1));
  }
}

TEST(Trainer, MovesBfloat16ModelsThroughTheirMasters) {
  Regression small(torch::kBFloat16);
  auto options = small.options();
  options.schedule.peak = options.schedule.lowest = 1e-5;  // below bfloat16's step at these weights
  const auto before = small.w1.detach().clone();
  Trainer trainer(small.task(), options);
  for (int i = 0; i < 2; ++i) trainer.step();
  EXPECT_TRUE(torch::equal(before, small.w1));
  for (int i = 0; i < 400; ++i) trainer.step();
  EXPECT_FALSE(torch::equal(before, small.w1));
  EXPECT_EQ(trainer.state_bytes(), 4 * 49 + 8 * 49 + 16);
}

TEST(Trainer, KeepsTheLastGoodStateWhenTheLossOrAGradientIsNotFinite) {
  Regression r;
  Trainer trainer(r.task(), r.options());
  trainer.step();
  const auto good = r.w1.detach().clone();
  r.poison = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(what_of([&] { trainer.step(); }), testing::HasSubstr("step 2: the loss is nan in micro-batch 1 of 1"));
  EXPECT_TRUE(torch::equal(good, r.w1));
  EXPECT_EQ(trainer.steps_done(), 1);
  EXPECT_TRUE(trainer.whole());
  TrainFolder folder;
  trainer.write(folder.path());  // the position of the step before, although the source was read
  Regression again;
  Trainer other(again.task(), again.options());
  other.read(folder.path());
  EXPECT_EQ(again.seen, 12);

  r.poison = 0.0;
  auto task = r.task();
  task.batch = [&](int64_t, int64_t) {
    return Batch{.counted = 1, .tokens = 1, .loss = [&] { return (r.w1 * 0).sum() + (r.w2 - r.w2.detach()).abs().pow(0.5).sum(); }};
  };
  Trainer wrong(task, r.options());
  EXPECT_THAT(what_of([&] { wrong.step(); }), testing::HasSubstr("step 1: the gradient of w2 is not finite"));
  EXPECT_TRUE(torch::equal(good, r.w1));
}

TEST(Trainer, UpdatesDuringTheBackwardPassEqualUpdatesAfterIt) {
  Regression after, during;
  auto options = after.options();
  options.clip = 0.0;
  Trainer a(after.task(), options);
  options.per_layer = true;
  Trainer b(during.task(), options);
  for (int i = 0; i < 6; ++i) {
    torch::manual_seed(i);
    a.step();
    torch::manual_seed(i);
    b.step();
  }
  EXPECT_TRUE(torch::equal(after.w1, during.w1));
  EXPECT_TRUE(torch::equal(after.w2, during.w2));
  during.micro = 5;
  EXPECT_THAT(what_of([&] { b.step(); }), testing::HasSubstr("cannot accumulate 3 micro-batches"));
  options.clip = 1.0;
  Regression other;
  EXPECT_THAT(what_of([&] { Trainer(other.task(), options); }), testing::HasSubstr("cannot clip"));
}

TEST(Trainer, RefusesTheStateOfAnotherModel) {
  TrainFolder folder;
  Regression r;
  Trainer trainer(r.task(), r.options());
  trainer.step();
  trainer.write(folder.path());
  auto task = r.task();
  task.parameters.pop_back();
  Trainer smaller(task, r.options());
  EXPECT_THAT(what_of([&] { smaller.read(folder.path()); }), testing::HasSubstr("which is not trained"));
}

}  // namespace tessera::train
