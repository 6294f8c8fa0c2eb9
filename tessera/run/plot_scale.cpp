#include "tessera/run/plot_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

// The smallest step of 1, 2 or 5 times a power of ten that is not below `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

std::vector<double> multiples(double low, double high, double step) {
  std::vector<double> ticks;
  const double slack = 1e-9 * step;
  for (double n = std::ceil((low - slack) / step); n * step <= high + slack; ++n) ticks.push_back(n == 0 ? 0.0 : n * step);
  return ticks;
}

std::vector<double> decades_with(const std::vector<double>& factors, double low, double high, int every) {
  std::vector<double> ticks;
  const int first = static_cast<int>(std::floor(std::log10(low))), last = static_cast<int>(std::ceil(std::log10(high)));
  for (int exponent = first; exponent <= last; ++exponent)
    for (const double factor : factors) {
      const double tick = factor * std::pow(10.0, exponent);
      const bool kept = ((exponent % every) + every) % every == 0;
      if (kept && tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  return ticks;
}

}  // namespace

double Scale::at(double value) const {
  const double share = log ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low)) : (value - low) / (high - low);
  return from + share * (to - from);
}

std::vector<double> round_ticks(double low, double high, int at_most) {
  double step = round_step((high - low) / std::max(at_most, 2));
  auto ticks = multiples(low, high, step);
  while (static_cast<int>(ticks.size()) > at_most) {
    step = round_step(step * 1.5);
    ticks = multiples(low, high, step);
  }
  return ticks;
}

std::vector<double> log_ticks(double low, double high, int at_most) {
  const auto room = static_cast<size_t>(std::max(at_most, 2));
  for (const std::vector<double>& factors : {std::vector<double>{1, 2, 5}, {1, 3}, {1}}) {
    auto ticks = decades_with(factors, low, high, 1);
    if (ticks.size() > room) continue;
    return ticks.size() >= 3 ? ticks : round_ticks(low, high, at_most);
  }
  int every = 2;
  while (decades_with({1}, low, high, every).size() > room) ++every;
  return decades_with({1}, low, high, every);
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks, bool log) {
  std::vector<std::string> labels;
  double closest = 0, largest = 0;
  for (size_t i = 0; i < ticks.size(); ++i) {
    largest = std::max(largest, std::abs(ticks[i]));
    if (i > 0) closest = closest == 0 ? ticks[i] - ticks[i - 1] : std::min(closest, ticks[i] - ticks[i - 1]);
  }
  const bool by_itself = log || closest == 0 || largest >= 1e7 || largest < 1e-4;
  const bool powers = log && std::any_of(ticks.begin(), ticks.end(), needs_power);
  const int decimals = by_itself ? 0 : std::max(0, -static_cast<int>(std::floor(std::log10(closest) + 1e-9)));
  for (const double tick : ticks) {
    if (powers) {
      labels.push_back(power_of_ten_text(tick));
      continue;
    }
    if (!by_itself) {
      labels.push_back(number_text(tick, decimals));
      continue;
    }
    std::string text = number_text(tick);
    if (text.find('.') != std::string::npos && text.find("×") == std::string::npos) {
      text.erase(text.find_last_not_of('0') + 1);
      if (text.back() == '.') text.pop_back();
    }
    labels.push_back(text.rfind("1×", 0) == 0 ? text.substr(3) : text);  // "10⁻⁵" rather than "1×10⁻⁵"; × has two bytes
  }
  return labels;
}

AxisRange axis_range(const Axis& axis, const std::vector<double>& values, bool with_zero, double margin) {
  double low = INFINITY, high = -INFINITY;
  const auto take = [&](double value) {
    if (!std::isfinite(value) || (axis.log && value <= 0)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (const double value : values) take(value);
  if (axis.from) take(*axis.from);
  if (axis.to) take(*axis.to);
  if (low > high) return axis.log ? AxisRange{1, 10} : AxisRange{0, 1};
  if (axis.log) {
    if (low == high) return {low / 2, high * 2};
    const double factor = std::pow(high / low, margin);
    return {axis.from ? low : low / factor, axis.to ? high : high * factor};
  }
  const bool near_zero = (low > 0 && low < 0.3 * high) || (high < 0 && high > 0.3 * low);
  if (with_zero || near_zero) {
    low = std::min(low, 0.0);
    high = std::max(high, 0.0);
  }
  if (low == high) return {low - std::max(std::abs(low) * 0.1, 0.5), high + std::max(std::abs(high) * 0.1, 0.5)};
  const double pad = (high - low) * margin;
  return {low == 0 || (axis.from && low == *axis.from) ? low : low - pad, high == 0 || (axis.to && high == *axis.to) ? high : high + pad};
}

}  // namespace tessera::run
