#pragma once
// Paired bootstrap: how much a measured quantity would move if other windows, items or seeds had been drawn.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tessera::run {

// A closed range [low, high]; either end may be infinite when the data cannot bound it.
struct Interval {
  double low = 0;
  double high = 0;
};

// The value of a quantity on the chosen items; the same index may occur several times. Not a number when it is undefined on them.
using Statistic = std::function<double(std::span<const size_t>)>;

// What was measured for one quantity: items (windows, questions, seeds) and the statistic over them. "Paired" means that one item holds
// both sides of a comparison, so resampling an item resamples both.
struct Sample {
  Sample() = default;
  // The mean of `values`, one per item: `report.judge(claim, differences)`.
  Sample(std::vector<double> values);  // NOLINT(google-explicit-constructor)

  // Items in each group. A resample draws every group from itself, with replacement; the indices of all groups follow one another: the
  // first group's are 0 .. groups[0]-1, the second's groups[0] .. groups[0]+groups[1]-1. One group is the usual case.
  std::vector<size_t> groups;
  Statistic statistic;
  std::string name;            // what the statistic is, for the report: "mean", "median", "Spearman correlation"
  std::vector<double> values;  // the single values where they exist (one group); `every` conditions judge these
};

// The mean and the median of one value per item.
Sample mean_of(std::vector<double> values);
Sample median_of(std::vector<double> values);
// A statistic of pairs (x[i], y[i]), such as a correlation. x and y have equal length, else std::logic_error.
Sample paired(std::string name, std::vector<double> x, std::vector<double> y,
              std::function<double(std::span<const double>, std::span<const double>)> statistic);
// Any statistic over the resampled indices of one or several groups of items.
Sample sample_of(std::string name, std::vector<size_t> groups, Statistic statistic);

// Percentile bootstrap, Efron & Tibshirani 1993, section 13.3. Deterministic: the same sample, seed and settings give the same interval.
struct PairedBootstrap {
  double confidence = 0.95;  // in (0, 1)
  int resamples = 10'000;    // >= 100
  uint64_t seed = 0;
};

// A point estimate on all items, once each, and its bootstrap interval.
struct Estimate {
  double point = 0;
  Interval interval;
  size_t undefined =
      0;  // resamples on which the statistic was not a number; each counts as an extreme on both sides, so it widens the interval
};

// The statistic on every item once; not a number when a group is empty.
double point_estimate(const Sample& sample);
// Point and interval. A group of fewer than two items cannot say how it would vary: the interval is then [-infinity, infinity].
// Costs resamples * items calls of the random stream and `resamples` calls of the statistic. Throws std::logic_error on settings out of
// range.
Estimate estimate(const Sample& sample, const PairedBootstrap& settings = {});

// Linear interpolation between order statistics (R's type 7). `sorted` ascends and is not empty; p in [0, 1].
double quantile(std::span<const double> sorted, double p);

}  // namespace tessera::run
