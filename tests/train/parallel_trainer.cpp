// A small Llama trained on 2 and 4 ranks beside the same run on one.

#include <gmock/gmock.h>

#include <csignal>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/lm/save.h"
#include "tessera/train/language.h"
#include "tessera/train/loop.h"
#include "tessera/train/optim/registry.h"
#include "tests/train/doubles.h"
#include "tests/train/parallel_ranks.h"

namespace tessera::train {

namespace {

constexpr int64_t kSteps = 6;

lm::Transformer small_llama() {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 96},
                                          {"hidden_size", 32},
                                          {"intermediate_size", 64},
                                          {"num_hidden_layers", 2},
                                          {"num_attention_heads", 4},
                                          {"num_key_value_heads", 2},
                                          {"max_position_embeddings", 64},
                                          {"tie_word_embeddings", true}}));
  lm::init_weights(model, 11);
  for (auto& item : model->named_parameters()) item.value().requires_grad_(true);
  return model;
}

TokenCache small_corpus(const std::filesystem::path& file) {
  TokenCacheWriter writer(file, 96);
  RandomStream random(5, "corpus");
  for (int d = 0; d < 40; ++d) {
    std::vector<int32_t> document;
    for (int i = 0; i < 60; ++i) document.push_back(static_cast<int32_t>((random.below(7) * 13 + static_cast<uint64_t>(i % 5)) % 96));
    writer.add(document);
  }
  writer.commit({});
  return TokenCache::open(file);
}

// One run: its own model and data, alone or with the other ranks.
struct TinyRun {
  TrainFolder folder;
  lm::Transformer model = small_llama();
  std::unique_ptr<Trainer> trainer;
  std::vector<double> losses, norms;
  double poison = 0.0;

  // `off`: added to every weight before the trainer is made.
  explicit TinyRun(std::shared_ptr<Collective> together, double ema = 0.0, double off = 0.0) {
    for (auto& parameter : model->parameters()) parameter.detach().add_(off);
    if (together) model->to(together->device());
    LanguageOptions options{
        .stages = {{.tokens = 8 * 16 * kSteps, .length = 16, .weights = {}}}, .batch = 8 * 16, .micro = 1, .mask_documents = true};
    if (together) options.rank = together->rank(), options.ranks = together->size();
    const auto corpora = std::make_shared<MixedTokens>(std::vector<MixedTokens::Corpus>{{"text", small_corpus(folder / "tokens")}},
                                                       MixedTokensOptions{.seed = 3, .piece = 32, .mask_documents = true});
    auto task = language_task(model, corpora, {}, options, [this](const std::filesystem::path& to) { lm::save_model(model, to, {}); });
    task.batch = [this, inner = task.batch](int64_t step, int64_t micro) {
      auto batch = inner(step, micro);
      batch.loss = [this, loss = batch.loss] { return loss() + poison; };
      return batch;
    };
    trainer = std::make_unique<Trainer>(
        std::move(task),
        TrainerOptions{.optimizer = [](std::vector<Parameter> all) { return make_optimizer({.name = "adamw"}, std::move(all)); },
                       .schedule = {.peak = 1e-2, .lowest = 1e-3, .warmup = 128, .total = 8 * 16 * kSteps},
                       .clip = 0.5,
                       .ema = ema,
                       .ranks = std::move(together)});
  }
  void steps(int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const auto report = trainer->step();
      losses.push_back(report.loss);
      norms.push_back(report.norm);
    }
  }
};

std::shared_ptr<Collective> everyone() {
  return {&ranks(), [](Collective*) {}};
}

void expect_same_course(const TinyRun& ours, const TinyRun& alone) {
  ASSERT_EQ(ours.losses.size(), alone.losses.size());
  for (size_t i = 0; i < alone.losses.size(); ++i) {
    EXPECT_NEAR(ours.losses[i], alone.losses[i], 1e-5 * alone.losses[i]) << "step " << i + 1;
    EXPECT_NEAR(ours.norms[i], alone.norms[i], 1e-4 * alone.norms[i]) << "step " << i + 1;
  }
  EXPECT_LT(alone.losses.back(), alone.losses.front() - 0.05) << "it learns something";
  EXPECT_EQ(ours.trainer->tokens_seen(), alone.trainer->tokens_seen());
}

// A folder whose name all ranks know.
std::filesystem::path common_folder() {
  const auto id = torch::tensor({static_cast<int64_t>(getpid())});
  ranks().broadcast(id, 0);
  const auto path = std::filesystem::temp_directory_path() / fmt::format("tessera_ranks_{}", id.item<int64_t>());
  std::filesystem::create_directory(path);
  ranks().barrier();
  return path;
}

}  // namespace

TEST(DISABLED_TrainerOnRanks, EqualsOneRankWithAccumulationAndClipping) {
  TinyRun alone(nullptr), ours(everyone());
  alone.steps(kSteps);
  ours.steps(kSteps);
  expect_same_course(ours, alone);
  auto bytes = torch::tensor({ours.trainer->state_bytes()});
  ranks().all_reduce(bytes);
  EXPECT_EQ(bytes.item<int64_t>(), alone.trainer->state_bytes()) << "every state lives once";
}

TEST(DISABLED_TrainerOnRanks, RepeatsItselfBitForBit) {
  TinyRun first(everyone()), second(everyone());
  first.steps(kSteps);
  second.steps(kSteps);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.norms, second.norms);
  auto of_zero = first.model->embed_tokens.detach().clone();
  ranks().broadcast(of_zero, 0);
  EXPECT_TRUE(of_zero.cpu().equal(first.model->embed_tokens.cpu())) << "all ranks have the same weights";
}

TEST(DISABLED_TrainerOnRanks, AllStartFromTheWeightsOfRankZero) {
  TinyRun alone(nullptr), ours(everyone(), 0.0, 0.25 * static_cast<double>(ranks().rank()));
  EXPECT_TRUE(ours.model->embed_tokens.cpu().equal(alone.model->embed_tokens));
  alone.steps(kSteps);
  ours.steps(kSteps);
  expect_same_course(ours, alone);
}

TEST(DISABLED_TrainerOnRanks, ResumesOnAnotherNumberOfRanks) {
  const auto saved = common_folder();
  TinyRun whole(nullptr, 0.9);
  whole.steps(kSteps);
  TinyRun first(everyone(), 0.9);
  first.steps(3);
  first.trainer->share_state();
  if (first.trainer->writes()) first.trainer->write(saved);
  first.trainer->unshare_state();
  ranks().barrier();
  for (const auto& together : {std::shared_ptr<Collective>(), everyone()}) {  // one rank, and as many again
    TinyRun then(together, 0.9);
    then.trainer->read(saved);
    then.losses = first.losses;
    then.norms = first.norms;
    then.steps(3);
    expect_same_course(then, whole);
  }
  ranks().barrier();
  if (ranks().rank() == 0) std::filesystem::remove_all(saved);
}

TEST(DISABLED_TrainerOnRanks, ALossThatIsNotFiniteOnOneRankStopsAllBeforeTheUpdate) {
  TinyRun ours(everyone());
  ours.steps(1);
  const auto good = ours.model->embed_tokens.detach().clone();
  ours.poison = ranks().rank() == ranks().size() - 1 ? NAN : 0.0;
  try {
    ours.trainer->step();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const WorkError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("step 2: the loss is"));
  }
  EXPECT_TRUE(good.cpu().equal(ours.model->embed_tokens.cpu()));
  EXPECT_TRUE(ours.trainer->whole());
  EXPECT_EQ(ours.trainer->steps_done(), 1);
}

TEST(DISABLED_TrainerOnRanks, OneRankThatIsAskedToStopStopsAll) {
  TinyRun ours(everyone());
  EXPECT_FALSE(ours.trainer->any_rank(false));
  EXPECT_TRUE(ours.trainer->any_rank(ranks().rank() == 1));
  EXPECT_EQ(ours.trainer->writes(), ranks().rank() == 0);
}

TEST(DISABLED_TrainerOnRanks, RefusesUpdatesDuringTheBackwardPass) {
  TinyRun ours(everyone());
  EXPECT_THROW(Trainer(ours.trainer->task(),
                       {.optimizer = plain_adamw, .schedule = {.total = 9}, .clip = 0, .per_layer = true, .ranks = everyone()}),
               InputError);
}

// The last rank dies in the middle of a step, as the kernel's memory killer would have it.
TEST(DISABLED_DyingRank, IsKilledWhileTheOthersWaitForIt) {
  TinyRun ours(everyone());
  ours.steps(2);
  if (ranks().rank() == ranks().size() - 1) std::raise(SIGKILL);
  ours.steps(kSteps - 2);
  ADD_FAILURE() << "the others went on without it";
}

TEST(DISABLED_DyingRank, FailsWithAnErrorOfItsOwn) {
  TinyRun ours(everyone());
  if (ranks().rank() == 1) {
    std::fprintf(stderr, "tessera: rank 1 has a problem\n");
    ranks().abort(2);
  }
  ours.steps(kSteps);
  ADD_FAILURE() << "the others went on without it";
}

TEST(TrainerOnRanks, EqualsOneRankOnTwo) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(2, "DISABLED_TrainerOnRanks.*");
}

TEST(TrainerOnRanks, EqualsOneRankOnFour) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(4, "DISABLED_TrainerOnRanks.*");
}

TEST(TrainerOnRanks, EqualsOneRankOnADeviceThatIsNotTheCpu) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(2, "DISABLED_TrainerOnRanks.*", RanksOn::other_device);
}

TEST(TrainerOnRanks, EqualsOneRankOnTwoGpus) {
  SKIP_WITHOUT_MPIRUN();
  SKIP_WITHOUT_GPUS(2);
  expect_on_ranks(2, "DISABLED_TrainerOnRanks.*", RanksOn::gpus);
}

TEST(DyingRank, EndsTheOthersUnderMpirun) {
  SKIP_WITHOUT_MPIRUN();
  const auto run = run_ranks(3, "DISABLED_DyingRank.IsKilled*");
  EXPECT_NE(run.exit_code, 0);
  EXPECT_LT(run.seconds, 30.0) << run.output;
  EXPECT_THAT(run.output, testing::HasSubstr("exited on signal 9")) << "mpirun says it";
  EXPECT_THAT(run.output, testing::Not(testing::HasSubstr("went on without it")));
}

// A starter that lets the others live, as srun does by default: the ranks notice it themselves.
TEST(DyingRank, EndsTheOthersWhenTheStarterDoesNot) {
  SKIP_WITHOUT_MPIRUN();
  const auto run = run_ranks(3, "DISABLED_DyingRank.IsKilled*", "--enable-recovery");
  EXPECT_LT(run.seconds, 60.0) << run.output;
  EXPECT_THAT(run.output, testing::HasSubstr("lost: rank 2 of 3 no longer answers, so all ranks stop;"));
  EXPECT_THAT(run.output, testing::Not(testing::HasSubstr("went on without it")));
}

TEST(DyingRank, ItsOwnErrorEndsTheOthersWithItsExitCode) {
  SKIP_WITHOUT_MPIRUN();
  const auto run = run_ranks(3, "DISABLED_DyingRank.Fails*");
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_LT(run.seconds, 30.0) << run.output;
  EXPECT_THAT(run.output, testing::HasSubstr("tessera: rank 1 has a problem"));
}

}  // namespace tessera::train
