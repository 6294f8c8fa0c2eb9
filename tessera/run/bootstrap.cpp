#include "tessera/run/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "tessera/base/random.h"

namespace tessera::run {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double mean_at(const std::vector<double>& values, std::span<const size_t> indices) {
  double sum = 0;
  for (const size_t i : indices) sum += values[i];
  return indices.empty() ? kNan : sum / static_cast<double>(indices.size());
}

double median_at(const std::vector<double>& values, std::span<const size_t> indices) {
  if (indices.empty()) return kNan;
  std::vector<double> chosen(indices.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    chosen[i] = values[indices[i]];
    if (std::isnan(chosen[i])) return kNan;
  }
  const auto middle = chosen.begin() + static_cast<std::ptrdiff_t>(chosen.size() / 2);
  std::nth_element(chosen.begin(), middle, chosen.end());
  if (chosen.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(chosen.begin(), middle)) / 2;
}

// One resample: every group from itself.
void draw_resample(const std::vector<size_t>& groups, RandomStream& random, std::vector<size_t>& indices) {
  size_t first = 0;
  for (const size_t n : groups) {
    for (size_t i = 0; i < n; ++i) indices[first + i] = first + random.below(n);
    first += n;
  }
}

size_t item_count(const Sample& sample) { return std::accumulate(sample.groups.begin(), sample.groups.end(), size_t{0}); }

std::vector<size_t> every_item_once(const Sample& sample) {
  std::vector<size_t> indices(item_count(sample));
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

double quantile_with(std::vector<double> values, double not_a_number_as, double p) {
  for (double& v : values)
    if (std::isnan(v)) v = not_a_number_as;
  std::sort(values.begin(), values.end());
  return quantile(values, p);
}

}  // namespace

Sample::Sample(std::vector<double> single) {
  auto shared = std::make_shared<const std::vector<double>>(single);
  groups = {single.size()};
  statistic = [shared](std::span<const size_t> indices) { return mean_at(*shared, indices); };
  name = "mean";
  values = std::move(single);
}

Sample mean_of(std::vector<double> values) { return {std::move(values)}; }

Sample median_of(std::vector<double> values) {
  Sample sample(std::move(values));
  sample.name = "median";
  sample.statistic = [shared = std::make_shared<const std::vector<double>>(sample.values)](std::span<const size_t> indices) {
    return median_at(*shared, indices);
  };
  return sample;
}

Sample paired(std::string name, std::vector<double> x, std::vector<double> y,
              std::function<double(std::span<const double>, std::span<const double>)> statistic) {
  if (x.size() != y.size()) throw std::logic_error("paired: x and y differ in length");
  const size_t n = x.size();
  return sample_of(std::move(name), {n},
                   [x = std::move(x), y = std::move(y), statistic = std::move(statistic)](std::span<const size_t> indices) {
                     std::vector<double> chosen_x(indices.size()), chosen_y(indices.size());
                     for (size_t i = 0; i < indices.size(); ++i) {
                       chosen_x[i] = x[indices[i]];
                       chosen_y[i] = y[indices[i]];
                     }
                     return statistic(chosen_x, chosen_y);
                   });
}

Sample sample_of(std::string name, std::vector<size_t> groups, Statistic statistic) {
  Sample sample;
  sample.name = std::move(name);
  sample.groups = std::move(groups);
  sample.statistic = std::move(statistic);
  return sample;
}

double point_estimate(const Sample& sample) {
  if (!sample.statistic || sample.groups.empty() || std::count(sample.groups.begin(), sample.groups.end(), size_t{0}) > 0) return kNan;
  return sample.statistic(every_item_once(sample));
}

Estimate estimate(const Sample& sample, const PairedBootstrap& settings) {
  if (!(settings.confidence > 0 && settings.confidence < 1)) throw std::logic_error("PairedBootstrap: confidence must lie between 0 and 1");
  if (settings.resamples < 100) throw std::logic_error("PairedBootstrap: at least 100 resamples");
  Estimate result{.point = point_estimate(sample), .interval = {-kInfinity, kInfinity}, .undefined = 0};
  const bool too_few = std::any_of(sample.groups.begin(), sample.groups.end(), [](size_t n) { return n < 2; });
  if (sample.groups.empty() || too_few || !sample.statistic) return result;

  std::vector<size_t> indices(item_count(sample));
  std::vector<double> statistics(static_cast<size_t>(settings.resamples));
  RandomStream random(settings.seed, "bootstrap");
  for (double& statistic : statistics) {
    draw_resample(sample.groups, random, indices);
    statistic = sample.statistic(indices);
    if (std::isnan(statistic)) ++result.undefined;
  }
  const double tail = (1 - settings.confidence) / 2;
  result.interval = {quantile_with(statistics, -kInfinity, tail), quantile_with(std::move(statistics), kInfinity, 1 - tail)};
  return result;
}

double quantile(std::span<const double> sorted, double p) {
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = std::min(static_cast<size_t>(position), sorted.size() - 1);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double a = sorted[below], b = sorted[above], weight = position - static_cast<double>(below);
  if (weight <= 0 || a == b) return a;
  if (std::isinf(a) || std::isinf(b)) return std::isinf(a) ? a : b;  // no point lies between a number and infinity
  return a + weight * (b - a);
}

}  // namespace tessera::run
