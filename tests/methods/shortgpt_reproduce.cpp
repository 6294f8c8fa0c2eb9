// The experiment in --quick: everything runs, nothing is judged. On the real model where it is installed, else on a random one.

#include "tessera/methods/shortgpt/reproduce.h"

#include <gtest/gtest.h>

#include "tessera/base/files.h"
#include "tessera/methods/shortgpt/experiment_data.h"
#include "tessera/run/run_folder.h"
#include "tests/methods/shortgpt_model.h"

namespace tessera::shortgpt {
namespace {

TEST(ShortGptReproduce, QuickRunsEverythingAndJudgesNothing) {
  TestFolder folder;
  run::Settings settings;
  settings.out = folder / "run";
  run::Context context(settings, {}, "reproduce shortgpt", "");
  std::filesystem::create_directory(folder / "run");
  run::Report report(folder / "run", {.method = "shortgpt", .title = "ShortGPT", .paper = "", .what = "", .mode = run::Mode::quick});
  reproduce(report, context, run::Mode::quick);
  ASSERT_EQ(report.judgements().size(), 7U);
  for (const auto& judgement : report.judgements()) EXPECT_EQ(judgement.verdict, run::Verdict::not_measured) << judgement.claim.id;
  EXPECT_FALSE(report.holds());
  EXPECT_FALSE(report.refuted());
  const auto page = report.html();
  for (const char* wanted : {"Block Influence of every layer", "Does BI predict the damage?", "Perplexity against removed layers",
                             "Accuracy and generation", "With 4-bit weights"}) {
    EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
  }
  EXPECT_LT(page.size(), 300'000U);
}

// The parts of --full, with a few steps of training each.
TEST(ShortGptReproduce, TheTrainedPartsOfTheFullExperimentRunAndAreJudged) {
  TestFolder folder;
  run::Settings settings;
  settings.out = folder / "run";
  run::Context context(settings, {}, "reproduce shortgpt", "");
  run::Report report(context.folder().path(),
                     {.method = "shortgpt", .title = "ShortGPT", .paper = "", .what = "", .mode = run::Mode::full});
  report.declare({claims::norm_placement, claims::heals, claims::mamba});
  const TrainingPlan plan{.seeds = {1, 2}, .steps = 10, .batch = 2, .healing_steps = 10, .healing_batch = 1, .healing_width = 16};
  const auto data = experiment_data("smollm2",
                                    {.window = 32,
                                     .calibration_sets = 1,
                                     .calibration_windows = 2,
                                     .sweep_windows = 2,
                                     .items = 2,
                                     .continuations = 1,
                                     .prompt_tokens = 8,
                                     .quick_depth = 6},
                                    true, context);
  auto opened = data.opened;
  const auto windows = spread(*opened.tokenizer, data.calibration_text, 32, 10);
  measure_healing(report, context, opened, {1, 3}, windows, data.evaluation, plan);
  EXPECT_EQ(opened.loaded.model->depth(), 6);
  EXPECT_FALSE(opened.loaded.model->block(1)->self_attn);
  measure_norm_placement(report, context, data.calibration_text, plan);
  measure_mamba(report, context, data.calibration_text, plan);
  for (const auto& judgement : report.judgements()) EXPECT_NE(judgement.verdict, run::Verdict::not_measured) << judgement.claim.id;
  EXPECT_EQ(report.judgements()[0].conditions.front().values.size(), 2U) << "one value a seed";
  const auto metrics = read_file(context.folder().path() / "metrics.jsonl");
  for (const char* arm : {"pre-norm, seed 1/loss", "post-norm, seed 2/loss", "healing/loss", "Mamba/loss"}) {
    EXPECT_NE(metrics.find(arm), std::string::npos) << arm;
  }
}

// A post-norm model of 12 layers needs the long warm-up to learn anything beyond byte frequencies.
TEST(ShortGptReproduce, TheRateRisesForHalfOfTheStepsAndFallsToATenth) {
  const TrainingPlan plan{.steps = 300, .rate = 2e-3};
  EXPECT_NEAR(training_rate(0, plan), 2e-3 / 150, 1e-12);
  EXPECT_NEAR(training_rate(74, plan), 1e-3, 1e-12);
  EXPECT_NEAR(training_rate(149, plan), 2e-3, 1e-12);
  EXPECT_NEAR(training_rate(224, plan), 2e-3 * 0.55, 1e-12);
  EXPECT_NEAR(training_rate(299, plan), 2e-4, 1e-12);
}

}  // namespace
}  // namespace tessera::shortgpt
