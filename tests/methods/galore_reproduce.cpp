// The experiment in --quick: everything runs, nothing is judged.

#include "tessera/methods/galore/reproduce.h"

#include <gmock/gmock.h>

#include <filesystem>

namespace tessera::galore {
namespace {

TEST(GaLoreReproduce, QuickRunsEveryArmAndJudgesNothing) {
  std::string name = (std::filesystem::temp_directory_path() / "galore-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(name.data());
  run::Settings settings;
  settings.out = folder;
  run::Context context(settings, {}, "reproduce galore", "");
  run::Report report(folder, {.method = "galore", .title = "GaLore", .paper = "", .what = "", .mode = run::Mode::quick});
  reproduce(report, context, run::Mode::quick);
  ASSERT_EQ(report.judgements().size(), 6U);
  for (const auto& judgement : report.judgements()) {
    EXPECT_EQ(judgement.verdict, run::Verdict::not_measured) << judgement.claim.id;
    for (const auto& condition : judgement.conditions) EXPECT_TRUE(std::isfinite(condition.ours)) << judgement.claim.id;
    if (judgement.claim.id == "C4" || judgement.claim.id == "C5") {
      for (const auto& condition : judgement.conditions) EXPECT_TRUE(condition.holds) << "needs no training to hold";
    }
  }
  const auto page = report.html();
  for (const char* wanted : {"Training loss", "W = B A", "LoRA on a random base", "Optimizer state of Llama-7B"}) {
    EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
  }
  std::filesystem::remove_all(folder);
}

TEST(GaLoreArm, LearnsAndRepeatsBitForBit) {
  const Plan plan{
      .width = 32, .layers = 1, .ffn = 48, .heads = 2, .rank = 8, .gap = 10, .steps = 40, .rows = 4, .length = 32, .evaluation_rows = 8};
  Prose prose;
  for (int i = 0; i < 400; ++i) prose.training += "the cat sat on the mat. ";
  prose.held_out = prose.training;
  const Arm arm{.key = "B", .name = "B", .optim = {.name = "galore-adamw", .rank = 8, .gap = 10}};
  const auto first = run_arm(arm, plan, prose, 1), again = run_arm(arm, plan, prose, 1), other = run_arm(arm, plan, prose, 2);
  EXPECT_EQ(first.nats, again.nats);
  EXPECT_NE(first.nats, other.nats);
  EXPECT_LT(first.nats.front(), 4.0) << "ln 256 is 5.5";
  EXPECT_EQ(first.state_bytes, first.said_bytes);
  EXPECT_GT(first.overlap, 0.0);
}

}  // namespace
}  // namespace tessera::galore
