#pragma once
// How alike two rankings or two series are. All functions take two series of equal length (std::logic_error otherwise) and give a value in
// [-1, 1], or not a number when there are fewer than two pairs, a series is constant or a value is not a number.

#include <span>
#include <vector>

namespace tessera::run {

// Linear correlation; sums around the means, so that large offsets do no harm.
double pearson(std::span<const double> x, std::span<const double> y);

// Pearson's correlation of the ranks; equal values share the mean of their ranks.
double spearman(std::span<const double> x, std::span<const double> y);

// Kendall's tau-b: (concordant - discordant) / sqrt(pairs untied in x * pairs untied in y). O(n log n), Knight 1966.
double kendall(std::span<const double> x, std::span<const double> y);

// Ranks from 1, ascending; equal values share the mean of their ranks.
std::vector<double> ranks(std::span<const double> values);

}  // namespace tessera::run
