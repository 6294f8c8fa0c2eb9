#include "tessera/run/correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace tessera::run {
namespace {

constexpr double undefined_correlation = std::numeric_limits<double>::quiet_NaN();

// True when the two series can be compared at all.
bool comparable(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw std::logic_error("a correlation of two series of different lengths");
  const auto not_a_number = [](double v) { return std::isnan(v); };
  return x.size() >= 2 && std::none_of(x.begin(), x.end(), not_a_number) && std::none_of(y.begin(), y.end(), not_a_number);
}

double mean_value(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Pairs within each run of equal neighbours: n (n - 1) / 2 summed over the runs.
template <class Same>
double tied_pairs(size_t n, const Same& same) {
  double pairs = 0;
  for (size_t begin = 0; begin < n;) {
    size_t end = begin + 1;
    while (end < n && same(end - 1, end)) ++end;
    const auto run = static_cast<double>(end - begin);
    pairs += run * (run - 1) / 2;
    begin = end;
  }
  return pairs;
}

// Sorts `values` by merging and counts the exchanges that bubble sort would have made: the pairs out of order.
double sort_and_count(std::vector<double>& values) {
  std::vector<double> merged(values.size());
  double exchanges = 0;
  for (size_t width = 1; width < values.size(); width *= 2) {
    for (size_t begin = 0; begin < values.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, values.size()), end = std::min(begin + 2 * width, values.size());
      size_t left = begin, right = middle, out = begin;
      while (left < middle || right < end) {
        const bool take_left = right == end || (left < middle && values[left] <= values[right]);
        if (!take_left) exchanges += static_cast<double>(middle - left);
        merged[out++] = take_left ? values[left++] : values[right++];
      }
    }
    values.swap(merged);
  }
  return exchanges;
}

}  // namespace

double pearson(std::span<const double> x, std::span<const double> y) {
  if (!comparable(x, y)) return undefined_correlation;
  const double mean_x = mean_value(x), mean_y = mean_value(y);
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = x[i] - mean_x, b = y[i] - mean_y;
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  const double scale = std::sqrt(xx) * std::sqrt(yy);  // two roots: the product of the squares may overflow
  return scale > 0 ? std::clamp(xy / scale, -1.0, 1.0) : undefined_correlation;
}

std::vector<double> ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> result(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) result[order[i]] = static_cast<double>(begin + 1 + end) / 2;
    begin = end;
  }
  return result;
}

double spearman(std::span<const double> x, std::span<const double> y) {
  if (!comparable(x, y)) return undefined_correlation;
  return pearson(ranks(x), ranks(y));
}

double kendall(std::span<const double> x, std::span<const double> y) {
  if (!comparable(x, y)) return undefined_correlation;
  const size_t n = x.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return x[a] != x[b] ? x[a] < x[b] : y[a] < y[b]; });
  std::vector<double> sorted(n);
  for (size_t i = 0; i < n; ++i) sorted[i] = y[order[i]];
  const auto same_x = [&](size_t a, size_t b) { return x[order[a]] == x[order[b]]; };
  const double tied_x = tied_pairs(n, same_x);
  const double tied_both = tied_pairs(n, [&](size_t a, size_t b) { return same_x(a, b) && sorted[a] == sorted[b]; });
  const double discordant = sort_and_count(sorted);
  const double tied_y = tied_pairs(n, [&](size_t a, size_t b) { return sorted[a] == sorted[b]; });
  const double all = static_cast<double>(n) * static_cast<double>(n - 1) / 2;
  const double scale = std::sqrt(all - tied_x) * std::sqrt(all - tied_y);
  return scale > 0 ? (all - tied_x - tied_y + tied_both - 2 * discordant) / scale : undefined_correlation;
}

}  // namespace tessera::run
