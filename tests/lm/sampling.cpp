#include "tessera/base/error.h"
#include "tessera/lm/generate.h"

#include <gtest/gtest.h>

namespace tessera::lm {

// Probabilities 0.4, 0.3, 0.2, 0.1.
static torch::Tensor four_logits() { return torch::tensor({0.4, 0.3, 0.2, 0.1}).log().to(torch::kFloat32); }

static void expect_distribution(const Sampling& sampling, std::vector<double> expected, const std::vector<int64_t>& present = {}) {
  const auto p = sampling_distribution(four_logits(), sampling, present);
  for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(p[i].item<double>(), expected[i], 1e-6) << "token " << i;
}

TEST(Sampling, EachCutKeepsWhatItsDefinitionSays) {
  Sampling s;
  expect_distribution(s, {0.4, 0.3, 0.2, 0.1});
  s.temperature = 0.5;  // squares
  expect_distribution(s, {16.0 / 30, 9.0 / 30, 4.0 / 30, 1.0 / 30});
  s = {};
  s.top_k = 2;
  expect_distribution(s, {4.0 / 7, 3.0 / 7, 0, 0});
  s = {};
  s.top_p = 0.65;  // 0.4 does not reach it, 0.4 + 0.3 does
  expect_distribution(s, {4.0 / 7, 3.0 / 7, 0, 0});
  s.top_p = 0.05;  // the likeliest always stays
  expect_distribution(s, {1, 0, 0, 0});
  s = {};
  s.min_p = 0.6;  // at least 0.24
  expect_distribution(s, {4.0 / 7, 3.0 / 7, 0, 0});
  s = {};
  s.temperature = 0.0;
  expect_distribution(s, {1, 0, 0, 0});
}

TEST(Sampling, PenaltyAndBiasComeFirst) {
  Sampling s;
  s.repetition_penalty = 2.0;  // negative logits are multiplied: 0.4 becomes 0.16
  expect_distribution(s, {0.16 / 0.76, 0.3 / 0.76, 0.2 / 0.76, 0.1 / 0.76}, {0, 0});
  s.temperature = 0.0;
  EXPECT_EQ(sample_token(four_logits(), s, {0}, 0.5), 1);
  s = {};
  s.logit_bias = {{3, 100.0}, {0, -100.0}};
  expect_distribution(s, {0, 0, 0, 1});
}

TEST(Sampling, DrawsFollowTheDistribution) {
  Sampling s;
  EXPECT_EQ(sample_token(four_logits(), s, {}, 0.0), 0);
  EXPECT_EQ(sample_token(four_logits(), s, {}, 0.39), 0);
  EXPECT_EQ(sample_token(four_logits(), s, {}, 0.41), 1);
  EXPECT_EQ(sample_token(four_logits(), s, {}, 0.95), 3);
  s.top_k = 1;
  EXPECT_EQ(sample_token(four_logits(), s, {}, 0.9999999), 0);
}

TEST(Sampling, RefusesValuesOutOfRange) {
  const auto refused = [](auto change) {
    Sampling s;
    change(s);
    EXPECT_THROW(sample_token(four_logits(), s, {}, 0.5), InputError);
  };
  refused([](Sampling& s) { s.temperature = -1; });
  refused([](Sampling& s) { s.top_k = -1; });
  refused([](Sampling& s) { s.top_p = 0; });
  refused([](Sampling& s) { s.top_p = 1.5; });
  refused([](Sampling& s) { s.min_p = 2; });
  refused([](Sampling& s) { s.repetition_penalty = 0; });
  refused([](Sampling& s) { s.logit_bias = {{4, 1.0}}; });
  EXPECT_THROW(sample_token(torch::full({4}, NAN), Sampling{.temperature = 0.7}, {}, 0.5), WorkError);
}

}  // namespace tessera::lm
