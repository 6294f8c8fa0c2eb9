#include "tessera/train/schedule.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"

namespace tessera::train {

TEST(Schedule, CosineRisesToThePeakAndEndsAtTheLowest) {
  const Schedule s{.decay = Decay::cosine, .peak = 2e-4, .lowest = 1e-5, .warmup = 100, .total = 1100};
  EXPECT_DOUBLE_EQ(rate_at(s, 0), 0.0);
  EXPECT_DOUBLE_EQ(rate_at(s, 50), 1e-4);
  EXPECT_DOUBLE_EQ(rate_at(s, 100), 2e-4);
  EXPECT_DOUBLE_EQ(rate_at(s, 600), 1e-5 + 0.5 * 1.9e-4);  // the middle
  EXPECT_DOUBLE_EQ(rate_at(s, 1100), 1e-5);
  EXPECT_DOUBLE_EQ(rate_at(s, 5000), 1e-5);
}

TEST(Schedule, LinearWsdPiecewiseAndConstant) {
  EXPECT_DOUBLE_EQ(rate_at({.decay = Decay::linear, .peak = 1.0, .lowest = 0.2, .warmup = 0, .total = 100}, 25), 0.8);
  const Schedule wsd{.decay = Decay::wsd, .peak = 1.0, .lowest = 0.1, .warmup = 10, .total = 100, .cooldown = 20};
  EXPECT_DOUBLE_EQ(rate_at(wsd, 5), 0.5);
  EXPECT_DOUBLE_EQ(rate_at(wsd, 80), 1.0);
  EXPECT_DOUBLE_EQ(rate_at(wsd, 90), 0.55);
  EXPECT_DOUBLE_EQ(rate_at(wsd, 100), 0.1);
  const Schedule pieces{.decay = Decay::piecewise, .peak = 2.0, .warmup = 0, .total = 100, .pieces = {{40, 0.5}, {70, 0.1}}};
  EXPECT_DOUBLE_EQ(rate_at(pieces, 39), 2.0);
  EXPECT_DOUBLE_EQ(rate_at(pieces, 40), 1.0);
  EXPECT_DOUBLE_EQ(rate_at(pieces, 99), 0.2);
  EXPECT_DOUBLE_EQ(rate_at({.decay = Decay::constant, .peak = 3.0, .warmup = 4, .total = 9}, 9), 3.0);
}

// ReLoRA: the rate falls to 0 at a restart and is back on the curve when the restart's warm-up ends.
TEST(Schedule, RestartsAreJagsInTheCurve) {
  const Schedule smooth{.decay = Decay::linear, .peak = 1.0, .lowest = 0.0, .warmup = 0, .total = 1000};
  auto s = smooth;
  s.restart_every = 400;
  s.restart_warmup = 50;
  for (const int64_t tokens : {1, 200, 400, 450, 800, 850, 1000}) EXPECT_DOUBLE_EQ(rate_at(s, tokens), rate_at(smooth, tokens)) << tokens;
  EXPECT_DOUBLE_EQ(rate_at(s, 410), 0.55 * 0.2);
  EXPECT_DOUBLE_EQ(rate_at(s, 825), 0.15 * 0.5);
}

TEST(Schedule, RefusesWhatIsOutOfRange) {
  EXPECT_THROW(check_schedule({.peak = 1.0, .total = 10, .restart_every = 5, .restart_warmup = 6}), InputError);

  EXPECT_THROW(check_schedule({.peak = -1.0, .total = 10}), InputError);
  EXPECT_THROW(check_schedule({.peak = 1.0, .lowest = 2.0, .total = 10}), InputError);
  EXPECT_THROW(check_schedule({.peak = 1.0, .warmup = 11, .total = 10}), InputError);
  EXPECT_THROW(check_schedule({.peak = 1.0, .total = 0}), InputError);
  EXPECT_THROW(check_schedule({.peak = 1.0, .warmup = 5, .total = 10, .cooldown = 6}), InputError);
  EXPECT_THROW(check_schedule({.peak = 1.0, .total = 10, .pieces = {{5, 1.0}, {5, 0.5}}}), InputError);
}

}  // namespace tessera::train
