// The experiment in --quick: everything runs, nothing is judged. On the real model where it is installed, else on a random one.

#include "tessera/methods/shortgpt/reproduce.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tessera::shortgpt
