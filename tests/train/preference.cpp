#include "tessera/train/preference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/train/token_nats.h"

namespace tessera::train {

namespace {

PairLogProbs pair_of(double chosen, double rejected) {
  return {torch::full({1}, chosen, torch::requires_grad()), torch::full({1}, rejected, torch::requires_grad())};
}

}  // namespace

TEST(Preference, StartsAtLogTwoAndPushesTheChosenUp) {
  const auto policy = pair_of(-3.0, -5.0);
  const auto terms = preference_loss(policy, pair_of(-3.0, -5.0), {.beta = 0.2});
  EXPECT_FLOAT_EQ(terms.loss.item<float>(), std::log(2.0f));
  terms.loss.sum().backward();
  EXPECT_FLOAT_EQ(policy.chosen.grad().item<float>(), -0.1f);  // -beta (1 - sigmoid(0))
  EXPECT_FLOAT_EQ(policy.rejected.grad().item<float>(), 0.1f);
}

TEST(Preference, EqualsTheFormulasByHandAndSwappingFlipsTheMargin) {
  const auto policy = pair_of(-2.0, -6.0), reference = pair_of(-3.0, -4.0);  // ratios +1 and -2: difference 3
  const auto dpo = preference_loss(policy, reference, {.beta = 0.5});
  EXPECT_FLOAT_EQ(dpo.margin.item<float>(), 1.5f);
  EXPECT_FLOAT_EQ(dpo.loss.item<float>(), std::log1p(std::exp(-1.5f)));
  EXPECT_FLOAT_EQ(dpo.chosen_reward.item<float>(), 0.5f);
  EXPECT_FLOAT_EQ(dpo.rejected_reward.item<float>(), -1.0f);
  const auto swapped = preference_loss({policy.rejected, policy.chosen}, {reference.rejected, reference.chosen}, {.beta = 0.5});
  EXPECT_FLOAT_EQ(swapped.margin.item<float>(), -1.5f);
  const auto smooth = preference_loss(policy, reference, {.beta = 0.5, .label_smoothing = 0.1});
  EXPECT_FLOAT_EQ(smooth.loss.item<float>(), 0.9f * std::log1p(std::exp(-1.5f)) + 0.1f * std::log1p(std::exp(1.5f)));
  EXPECT_FLOAT_EQ(preference_loss(policy, reference, {.loss = PreferenceLoss::ipo, .beta = 0.5}).loss.item<float>(), 4.0f);  // (3 - 1)^2
  EXPECT_FLOAT_EQ(preference_loss(policy, reference, {.loss = PreferenceLoss::hinge, .beta = 0.5}).loss.item<float>(), 0.0f);
  EXPECT_FLOAT_EQ(preference_loss(policy, reference, {.loss = PreferenceLoss::hinge, .beta = 0.1}).loss.item<float>(), 0.7f);
}

TEST(Preference, RefusesValuesOutOfRange) {
  EXPECT_THROW(check_preference({.beta = 0.0}), InputError);
  EXPECT_THROW(check_preference({.label_smoothing = 0.5}), InputError);
  EXPECT_THROW(check_preference({.loss = PreferenceLoss::hinge, .label_smoothing = 0.1}), InputError);
}

TEST(Preference, AnswersAreSumsOrMeansOfTheirTokens) {
  const auto nats = torch::tensor({{0.0, 1.0, 3.0}, {0.0, 0.0, 0.0}}), counted = torch::tensor({2, 0});
  EXPECT_TRUE(torch::equal(answer_log_probs(nats, counted, false), torch::tensor({-4.0, 0.0})));
  EXPECT_TRUE(torch::equal(answer_log_probs(nats, counted, true), torch::tensor({-2.0, 0.0})));
}

TEST(TokenNats, EqualsThePlainCrossEntropyWithItsGradients) {
  torch::manual_seed(1);
  const auto targets = torch::tensor({3, -1, 0, 10, 7, -1, 2});
  const auto weights = torch::randn({7});  // of each token: what the plain mean cannot do
  const auto run = [&](bool ours) {
    torch::manual_seed(2);
    auto hidden = torch::randn({7, 6}, torch::requires_grad()), head = torch::randn({11, 6}, torch::requires_grad());
    const auto nats = ours ? token_nats(hidden, head, targets, 2)
                           : torch::nn::functional::cross_entropy(
                                 at::linear(hidden, head), targets,
                                 torch::nn::functional::CrossEntropyFuncOptions().ignore_index(-1).reduction(torch::kNone));
    (nats * weights).sum().backward();
    return std::vector<torch::Tensor>{nats.detach(), hidden.grad(), head.grad()};
  };
  const auto ours = run(true), plain = run(false);
  for (size_t i = 0; i < 3; ++i) EXPECT_LT((ours[i] - plain[i]).abs().max().item<float>(), 1e-5f) << "0 nats, 1 d hidden, 2 d head: " << i;
  EXPECT_EQ(ours[0][1].item<float>(), 0.0f);
}

}  // namespace tessera::train
