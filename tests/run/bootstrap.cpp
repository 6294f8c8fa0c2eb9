#include "tessera/run/bootstrap.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "tessera/base/random.h"

namespace tessera::run {
namespace {

std::vector<double> normal_values(size_t n, double mean, double deviation, uint64_t seed) {
  RandomStream random(seed, "bootstrap test");
  std::vector<double> values(n);
  for (double& value : values) value = mean + deviation * random.normal();
  return values;
}

double mean_of_values(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

TEST(Bootstrap, IntervalOfAMeanIsTheNormalOne) {
  const auto values = normal_values(400, 3.0, 2.0, 1);
  const double mean = mean_of_values(values);
  double square = 0;
  for (const double value : values) square += (value - mean) * (value - mean);
  const double error = std::sqrt(square) / 400;  // the bootstrap's own standard error: deviation with 1/n, over sqrt(n)
  for (const auto& [confidence, z] : {std::pair{0.95, 1.959964}, {0.80, 1.281552}}) {
    const Estimate got = estimate(values, {.confidence = confidence, .resamples = 20'000});
    EXPECT_NEAR(got.point, mean, 1e-12);
    EXPECT_NEAR(got.interval.low, mean - z * error, 0.04 * error) << confidence;
    EXPECT_NEAR(got.interval.high, mean + z * error, 0.04 * error) << confidence;
    EXPECT_EQ(got.undefined, 0u);
  }
}

TEST(Bootstrap, CoversTheTrueMeanAsOftenAsItSays) {
  int covered = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Interval interval = estimate(normal_values(60, 1.0, 1.0, seed), {.confidence = 0.9, .resamples = 400}).interval;
    covered += interval.low <= 1.0 && 1.0 <= interval.high;
  }
  EXPECT_NEAR(covered / 400.0, 0.9, 0.045);  // three standard errors of 400 trials
}

TEST(Bootstrap, IntervalOfAMedianHasItsOrderStatistics) {
  // Binomial(99, 1/2) puts 95 % of its mass on 40..59: the ends are the 40th and 60th of the sorted values, give or take one.
  std::vector<double> values;
  for (int i = 1; i <= 99; ++i) values.push_back(i);
  const Estimate got = estimate(median_of(values));
  EXPECT_EQ(got.point, 50);
  EXPECT_NEAR(got.interval.low, 40, 1);
  EXPECT_NEAR(got.interval.high, 60, 1);
  EXPECT_EQ(point_estimate(median_of({4, 1, 3, 2})), 2.5);
}

TEST(Bootstrap, IsTheSameEveryTimeAndMovesWithItsSeed) {
  const auto values = normal_values(50, 0, 1, 3);
  const Interval first = estimate(values).interval, again = estimate(values).interval, other = estimate(values, {.seed = 1}).interval;
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  EXPECT_NE(first.low, other.low);
}

TEST(Bootstrap, ResamplesPairsTogether) {
  std::vector<double> x = normal_values(40, 0, 1, 4), y = x;
  for (double& value : y) value = 2 * value + 1;
  const auto difference = [](std::span<const double> a, std::span<const double> b) {
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(b[i] - 2 * a[i] - 1));
    return worst;
  };
  const Estimate got = estimate(paired("worst residual", x, y, difference), {.resamples = 200});
  EXPECT_LT(got.interval.high, 1e-12);  // any pairing but the true one leaves residuals
  EXPECT_THROW(paired("", {1}, {1, 2}, difference), std::logic_error);
}

TEST(Bootstrap, ResamplesEveryGroupFromItself) {
  const Sample sample = sample_of("share of the second group", {30, 10}, [](std::span<const size_t> indices) {
    EXPECT_EQ(indices.size(), 40u);
    double second = 0;
    for (size_t i = 0; i < indices.size(); ++i) {
      EXPECT_EQ(indices[i] >= 30, i >= 30);
      second += indices[i] >= 30;
    }
    return second / static_cast<double>(indices.size());
  });
  const Estimate got = estimate(sample, {.resamples = 300});
  EXPECT_EQ(got.interval.low, 0.25);
  EXPECT_EQ(got.interval.high, 0.25);
}

TEST(Bootstrap, TooFewItemsBoundNothing) {
  for (const std::vector<double>& values : {std::vector<double>{}, {1.0}}) {
    const Interval interval = estimate(values).interval;
    EXPECT_EQ(interval.low, -std::numeric_limits<double>::infinity());
    EXPECT_EQ(interval.high, std::numeric_limits<double>::infinity());
  }
  EXPECT_TRUE(std::isnan(point_estimate(Sample(std::vector<double>{}))));
  EXPECT_TRUE(std::isnan(point_estimate(Sample())));
}

TEST(Bootstrap, UndefinedResamplesWidenTheInterval) {
  // The statistic is undefined whenever item 0 is missing: about 0.9^10 = 35 % of resamples.
  const Sample sample = sample_of("needs item 0", {10}, [](std::span<const size_t> indices) {
    for (const size_t i : indices)
      if (i == 0) return 1.0;
    return std::nan("");
  });
  const Estimate got = estimate(sample, {.resamples = 1000});
  EXPECT_NEAR(static_cast<double>(got.undefined) / 1000, 0.349, 0.05);
  EXPECT_EQ(got.interval.low, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(got.interval.high, std::numeric_limits<double>::infinity());
}

TEST(Bootstrap, RefusesSettingsThatMeanNothing) {
  EXPECT_THROW(estimate(std::vector<double>{1, 2}, {.confidence = 1}), std::logic_error);
  EXPECT_THROW(estimate(std::vector<double>{1, 2}, {.confidence = 0}), std::logic_error);
  EXPECT_THROW(estimate(std::vector<double>{1, 2}, {.resamples = 99}), std::logic_error);
}

TEST(Bootstrap, QuantilesInterpolate) {
  const std::vector<double> sorted = {1, 2, 4, 8};
  EXPECT_EQ(quantile(sorted, 0), 1);
  EXPECT_EQ(quantile(sorted, 1), 8);
  EXPECT_EQ(quantile(sorted, 0.5), 3);
  EXPECT_EQ(quantile(sorted, 1.0 / 3), 2);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(quantile(std::vector<double>{-infinity, 0}, 0.5), -infinity);
  EXPECT_EQ(quantile(std::vector<double>{0, infinity}, 0.5), infinity);
}

}  // namespace
}  // namespace tessera::run
