#include "tessera/eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tessera/base/error.h"
#include "tests/eval/golden.h"

namespace tessera::eval {
namespace {

std::vector<int32_t> golden_ids() { return golden("eval_perplexity.json")["ids"].get<std::vector<int32_t>>(); }

PerplexityOptions windows_of(int64_t window, int64_t windows = 0, int64_t batch = 0) {
  PerplexityOptions options;
  options.window = window;
  options.windows = windows;
  options.batch = batch;
  return options;
}

TEST(Perplexity, EqualsTransformersWindowByWindow) {
  auto model = golden_model();
  const auto ids = golden_ids();
  const auto windows = golden("eval_perplexity.json")["windows"];
  EXPECT_GE(windows.size(), 2U);
  for (const auto& [window, nats] : windows.items()) {
    SCOPED_TRACE(window);
    const auto result = perplexity(model, ids, windows_of(std::stoll(window)));
    ASSERT_EQ(result.window_nats.size(), nats.size());
    for (size_t i = 0; i < nats.size(); ++i) EXPECT_NEAR(result.window_nats[i], nats[i].get<double>(), 1e-4);
    EXPECT_EQ(result.windows, static_cast<int64_t>(nats.size()));
  }
}

TEST(Perplexity, WeighsTokensAlikeAndCountsThem) {
  auto model = golden_model();
  const auto result = perplexity(model, golden_ids(), windows_of(64));
  ASSERT_EQ(result.window_tokens, (std::vector<int64_t>{63, 63, 63, 10})) << "203 tokens: the last window has 11";
  EXPECT_EQ(result.tokens, 199);
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) sum += result.window_nats[i] * static_cast<double>(result.window_tokens[i]);
  EXPECT_NEAR(result.nats_per_token, sum / 199, 1e-12);
  EXPECT_NEAR(result.perplexity, std::exp(result.nats_per_token), 1e-9);
  EXPECT_GT(result.seconds, 0);
  EXPECT_NEAR(result.tokens_per_second * result.seconds, 199, 1e-6);
}

TEST(Perplexity, DependsNeitherOnTheBatchNorOnLaterWindows) {
  auto model = golden_model();
  const auto ids = golden_ids();
  const auto alone = perplexity(model, ids, windows_of(16, 0, 1));
  for (const int64_t batch : {2, 5, 100}) {
    const auto together = perplexity(model, ids, windows_of(16, 0, batch));
    ASSERT_EQ(together.window_nats.size(), alone.window_nats.size());
    for (size_t i = 0; i < alone.window_nats.size(); ++i) EXPECT_NEAR(together.window_nats[i], alone.window_nats[i], 1e-5);
  }
  const auto few = perplexity(model, ids, windows_of(16, 3));
  ASSERT_EQ(few.windows, 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(few.window_nats[i], alone.window_nats[i], 1e-5);
}

TEST(Perplexity, OfAModelThatKnowsNothingIsTheVocabulary) {
  auto model = golden_model();
  const torch::NoGradGuard no_gradient;
  for (auto& parameter : model->parameters()) parameter.zero_();
  EXPECT_NEAR(perplexity(model, golden_ids(), windows_of(32)).perplexity, 97, 1e-3);
}

TEST(Perplexity, InBf16IsClose) {
  auto exact = golden_model(), rounded = golden_model(lm::DtypeChoice::bf16);
  const auto ids = golden_ids();
  const double a = perplexity(exact, ids, windows_of(64)).nats_per_token, b = perplexity(rounded, ids, windows_of(64)).nats_per_token;
  EXPECT_NEAR(a, b, 0.02 * a);
  EXPECT_NE(a, b);
}

TEST(Perplexity, LeavesOutTheBlocksAskedFor) {
  auto model = golden_model(), shorter = golden_model();
  auto options = windows_of(32);
  options.skip = lm::Skip::blocks({1});
  shorter->remove_blocks({1});
  const auto skipped = perplexity(model, golden_ids(), options), removed = perplexity(shorter, golden_ids(), windows_of(32));
  EXPECT_EQ(skipped.window_nats, removed.window_nats);
  EXPECT_NE(skipped.nats_per_token, perplexity(model, golden_ids(), windows_of(32)).nats_per_token);
}

TEST(Perplexity, TellsItsProgressAndStopsWhenAsked) {
  auto model = golden_model();
  auto options = windows_of(16, 0, 2);
  std::vector<int64_t> done;
  options.progress = [&](int64_t now, int64_t all, double value) {
    EXPECT_EQ(all, 13);
    EXPECT_GT(value, 1);
    done.push_back(now);
    return now < 4;
  };
  const auto result = perplexity(model, golden_ids(), options);
  EXPECT_EQ(done, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(result.windows, 4);
  EXPECT_EQ(result.tokens, 4 * 15);
}

TEST(Perplexity, RefusesTooShortTextsWindowsAndForeignIds) {
  auto model = golden_model();
  const std::vector<int32_t> one = {1}, foreign = {1, 97};
  EXPECT_THROW(perplexity(model, one, windows_of(8)), InputError);
  EXPECT_THROW(perplexity(model, golden_ids(), windows_of(1)), InputError);
  EXPECT_THROW(perplexity(model, foreign, windows_of(8)), InputError);
  try {
    perplexity(model, one, windows_of(8));
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "the text has 1 tokens, too few to score: the first of a window is context only; give a longer text");
  }
}

TEST(Perplexity, IsADocumentWithTheFieldsOfTheInterface) {
  auto model = golden_model();
  const auto document = to_json(perplexity(model, golden_ids(), windows_of(64, 2)));
  std::vector<std::string> names;
  for (const auto& [name, value] : document.items()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"perplexity", "nats_per_token", "tokens", "seconds", "tokens_per_second", "window", "windows"}));
  EXPECT_EQ(document["windows"], 2);
  EXPECT_EQ(document["tokens"], 126);
}

}  // namespace
}  // namespace tessera::eval
