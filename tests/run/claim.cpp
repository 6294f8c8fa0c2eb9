#include "tessera/run/claim.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace tessera::run {
namespace {

Claim with(std::vector<Condition> conditions) {
  return {.id = "C", .says = "s", .theirs = "t", .measure = "m", .unit = "nats", .holds_if = std::move(conditions)};
}
Verdict verdict_on(std::vector<Condition> conditions, std::vector<double> values) {
  return judge(with(std::move(conditions)), values).verdict;
}

const std::vector<double> kOnes(20, 1.0);  // point 1, interval [1, 1]

TEST(Claim, BoundsAreStrictOrNotAtTheBoundaryItself) {
  for (const bool on_interval : {false, true}) {
    std::optional<PairedBootstrap> interval;
    if (on_interval) interval = PairedBootstrap{.resamples = 100};
    EXPECT_EQ(verdict_on({{.interval = interval, .above = 1.0}}, kOnes), Verdict::not_held);
    EXPECT_EQ(verdict_on({{.interval = interval, .at_least = 1.0}}, kOnes), Verdict::held);
    EXPECT_EQ(verdict_on({{.interval = interval, .below = 1.0}}, kOnes), Verdict::not_held);
    EXPECT_EQ(verdict_on({{.interval = interval, .at_most = 1.0}}, kOnes), Verdict::held);
    EXPECT_EQ(verdict_on({{.interval = interval, .above = std::nextafter(1.0, 0.0)}}, kOnes), Verdict::held);
    EXPECT_EQ(verdict_on({{.interval = interval, .below = std::nextafter(1.0, 2.0)}}, kOnes), Verdict::held);
  }
}

TEST(Claim, AnIntervalIsJudgedByItsNearEndNotByItsPoint) {
  const std::vector<double> wide = {-1, 0, 1, 2, 3};  // mean 1, interval about [-0.2, 2.2]
  EXPECT_EQ(verdict_on({{.above = 0.0}}, wide), Verdict::held);
  EXPECT_EQ(verdict_on({{.interval = PairedBootstrap{}, .above = 0.0}}, wide), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.below = 2.0}}, wide), Verdict::held);
  EXPECT_EQ(verdict_on({{.interval = PairedBootstrap{}, .below = 2.0}}, wide), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.interval = PairedBootstrap{}, .above = -1.0, .below = 3.0}}, wide), Verdict::held);
}

TEST(Claim, EveryValueMustMeetTheBound) {
  EXPECT_EQ(verdict_on({{.every = "seed", .at_least = 0.05}}, {0.05, 0.3, 0.9}), Verdict::held);
  EXPECT_EQ(verdict_on({{.every = "seed", .at_least = 0.05}}, {0.049, 0.3, 0.9}), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.every = "seed", .at_least = 0.05}}, {}), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.every = "seed", .below = 1.0}}, {0.1, std::nan("")}), Verdict::not_held);
}

TEST(Claim, ValuesThatAreNoNumbersMeetNoBound) {
  EXPECT_EQ(verdict_on({{.below = 1.0}}, {std::nan("")}), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.above = 1.0}}, {}), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.interval = PairedBootstrap{}, .below = 1.0}}, {0, 0, std::nan("")}), Verdict::not_held);
  EXPECT_EQ(verdict_on({{.interval = PairedBootstrap{}, .above = 0.0}}, {5.0}), Verdict::not_held) << "one item has no interval";
}

TEST(Claim, AllConditionsMustHold) {
  const Claim claim = with({{.of = "A", .interval = PairedBootstrap{.resamples = 100}, .above = 0.0}, {.of = "B", .below = 0.1}});
  EXPECT_EQ(judge(claim, {{"A", kOnes}, {"B", std::vector<double>{0.05}}}).verdict, Verdict::held);
  const Judgement judged = judge(claim, {{"A", kOnes}, {"B", std::vector<double>{0.1}}});
  EXPECT_EQ(judged.verdict, Verdict::not_held);
  EXPECT_TRUE(judged.conditions[0].holds);
  EXPECT_FALSE(judged.conditions[1].holds);
  EXPECT_EQ(deciding_condition(judged), &judged.conditions[1]);
}

TEST(Claim, OneQuantityMayBeJudgedByPointAndInterval) {
  const Judgement judged = judge(with({{.at_least = 0.5}, {.interval = PairedBootstrap{}, .above = 0.2}}), kOnes);
  ASSERT_EQ(judged.conditions.size(), 2u);
  ASSERT_TRUE(judged.conditions[0].interval) << "the point is shown with the interval of its quantity";
  EXPECT_EQ(judged.conditions[0].items, 20u);
  EXPECT_EQ(judged.conditions[0].statistic, "mean");
}

TEST(Claim, NotMeasuredNeverHoldsAndHasAReason) {
  const Judgement judged = not_measured(with({{.above = 0.0}}), "needs --full");
  EXPECT_EQ(judged.verdict, Verdict::not_measured);
  EXPECT_EQ(judged.why_not_measured, "needs --full");
  EXPECT_EQ(deciding_condition(judged), nullptr);
  EXPECT_THROW(not_measured(with({{.above = 0.0}}), ""), std::logic_error);
}

TEST(Claim, RuleTextComesFromTheConditions) {
  EXPECT_EQ(rule_text(Condition{.interval = PairedBootstrap{}, .above = 0.0}, "nats"), "95 % interval above 0 nats");
  EXPECT_EQ(rule_text(Condition{.every = "seed", .at_least = 0.05}, ""), "every seed at least 0.05");
  EXPECT_EQ(rule_text(Condition{.above = -0.1, .at_most = 2.0}, ""), "above −0.1 and at most 2");
  const Claim claim = with({{.of = "A", .interval = PairedBootstrap{.confidence = 0.9}, .above = 0.0},
                            {.of = "C", .below = 0.1},
                            {.of = "B", .interval = PairedBootstrap{.confidence = 0.9}, .above = 0.0}});
  EXPECT_EQ(rule_text(claim), "each of “A”, “B”: 90 % interval above 0 nats; and “C”: below 0.1 nats (paired bootstrap, 10,000 resamples)");
}

TEST(Claim, MalformedOnesAreMistakesOfTheMethod) {
  const double nan = std::nan("");
  for (const std::vector<Condition>& bad :
       std::vector<std::vector<Condition>>{{},                                                                 // no condition
                                           {{.of = "A"}},                                                      // no bound
                                           {{.above = nan}},                                                   // not a bound
                                           {{.above = std::numeric_limits<double>::infinity()}},               // nothing lies above it
                                           {{.above = 1.0, .below = 1.0}},                                     // empty
                                           {{.at_least = 2.0, .at_most = 1.0}},                                // empty
                                           {{.interval = PairedBootstrap{}, .every = "seed", .above = 0.0}}})  // on what?
    EXPECT_THROW(check_claim(with(bad)), std::logic_error);
  EXPECT_NO_THROW(check_claim(with({{.at_least = 1.0, .at_most = 1.0}})));
  Claim nameless = with({{.above = 0.0}});
  nameless.id.clear();
  EXPECT_THROW(check_claim(nameless), std::logic_error);
}

TEST(Claim, SamplesAndConditionsMustMatch) {
  const Claim claim = with({{.of = "A", .above = 0.0}, {.of = "B", .above = 0.0}});
  EXPECT_THROW(judge(claim, {{"A", kOnes}}), std::logic_error);
  EXPECT_THROW(judge(claim, {{"A", kOnes}, {"B", kOnes}, {"b", kOnes}}), std::logic_error);
  EXPECT_THROW(judge(claim, kOnes), std::logic_error);
  EXPECT_EQ(judge(claim, {{"A", kOnes}, {"B", kOnes}}).verdict, Verdict::held);
}

}  // namespace
}  // namespace tessera::run
