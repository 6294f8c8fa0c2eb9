// The experiment in --quick: every part runs, nothing is judged.

#include "tessera/methods/danube/reproduce.h"

#include <gmock/gmock.h>

#include "tessera/methods/danube/experiment.h"
#include "tests/methods/danube_model.h"

namespace tessera::danube {
namespace {

TEST(DanubeReproduce, QuickRunsEveryPartAndJudgesNothing) {
  const TestFolder folder;
  run::Settings settings;
  settings.out = folder / "run";
  run::Context context(settings, {}, "reproduce danube", "");
  std::filesystem::create_directories(settings.out);
  run::Report report(settings.out, {.method = "danube", .title = "Danube", .paper = "", .what = "", .mode = run::Mode::quick});
  reproduce(report, context, run::Mode::quick);
  ASSERT_EQ(report.judgements().size(), 7U);
  for (const auto& judgement : report.judgements()) {
    EXPECT_EQ(judgement.verdict, run::Verdict::not_measured) << judgement.claim.id;
    EXPECT_FALSE(judgement.conditions.empty()) << judgement.claim.id << " was measured all the same";
    for (const auto& condition : judgement.conditions) EXPECT_TRUE(std::isfinite(condition.ours)) << judgement.claim.id;
    if (judgement.claim.id == "C1") {
      for (const auto& condition : judgement.conditions) EXPECT_TRUE(condition.holds) << "needs no training to hold";
    }
  }
  const auto page = report.html();
  for (const char* wanted : {"Training loss against time", "Held-out loss by position", "preference accuracy", "Copied and fresh rows",
                             "Retrieval from a glossary"})
    EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
}

TEST(DanubeArm, AForkedRunIsTheRunItself) {
  auto plan = plan_of(run::Mode::quick);
  const TestFolder folder;
  const std::vector<std::string> documents(30, small_text(30));
  const auto tokenizer = train_vocabulary(documents, 300);
  const auto cache = tokenised(documents, *tokenizer, folder / "tokens.safetensors");
  EXPECT_FALSE(std::filesystem::exists(folder / "tokens.safetensors")) << "open, and gone from the folder";
  const auto stages = [&](int64_t second) {
    return std::vector<train::Stage>{{4 * plan.batch, 16, {1.0}}, {4 * plan.batch, second, {1.0}}};
  };
  const auto whole =
      train_arm(plan, fresh_model(plan, tokenizer->size(), 1), {{"a", cache}}, {.stages = stages(16), .save_to = folder / "fork"});
  const auto forked =
      train_arm(plan, fresh_model(plan, tokenizer->size(), 9), {{"a", cache}}, {.stages = stages(16), .start_at = folder / "fork"});
  const auto longer = train_arm(plan, fresh_model(plan, tokenizer->size(), 1), {{"a", cache}}, {.stages = stages(64)});
  const auto windows = held_out_windows({documents[0]}, *tokenizer, 64, 2);
  EXPECT_EQ(window_nats(whole.model, windows), window_nats(forked.model, windows));
  EXPECT_NE(window_nats(whole.model, windows), window_nats(longer.model, windows));
  EXPECT_EQ(whole.loss.size(), 8U);
  EXPECT_EQ(whole.loss[3], longer.loss[3]) << "the first stage is the same";
  EXPECT_LT(whole.loss.back(), whole.loss.front());
}

}  // namespace
}  // namespace tessera::danube
