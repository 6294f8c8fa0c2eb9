#pragma once
// From values to places on a plot, and the round numbers that label them.

#include <string>
#include <vector>

#include "tessera/run/plot.h"

namespace tessera::run {

// Maps [low, high] to [from, to] in SVG units; low < high, both positive on a log scale.
struct Scale {
  double low = 0, high = 1;
  bool log = false;
  double from = 0, to = 1;

  double at(double value) const;
};

// Multiples of 1, 2 or 5 times a power of ten inside [low, high]: at most `at_most` (>= 2) of them, the densest such choice.
std::vector<double> round_ticks(double low, double high, int at_most);
// Powers of ten inside [low, high], with 2 and 5 (and, where even that is sparse, round_ticks) between them when there is room.
std::vector<double> log_ticks(double low, double high, int at_most);
// Labels with as many decimals as the closest pair of ticks needs to differ; on a log axis one of which needs a power of ten, all are so
// written: 10⁴, 10⁶, 10⁸.
std::vector<std::string> tick_labels(const std::vector<double>& ticks, bool log);

// The range an axis covers: all finite `values` (on a log axis the positive ones), `from` and `to`, zero when `with_zero` or when the data
// come near it, and a margin of `margin` of the range at the ends that are not zero. Never empty.
struct AxisRange {
  double low = 0, high = 1;
};
AxisRange axis_range(const Axis& axis, const std::vector<double>& values, bool with_zero, double margin);

}  // namespace tessera::run
