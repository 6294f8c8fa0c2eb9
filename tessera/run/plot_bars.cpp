// Bar plots: one or several series of bars per category, with intervals, upright or lying.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/run/plot_canvas.h"
#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

constexpr size_t kMarkedColour = 1;  // the second colour, when a single series marks some of its bars

void check_bar_plot(const BarPlot& plot) {
  if (plot.bars.empty() || plot.categories.empty()) throw std::logic_error("plot \"" + plot.title + "\": no bars");
  for (const Bars& bars : plot.bars) {
    if (bars.values.size() != plot.categories.size() || (!bars.intervals.empty() && bars.intervals.size() != bars.values.size()))
      throw std::logic_error("plot \"" + plot.title + "\": values or intervals of \"" + bars.name + "\" do not match the categories");
    for (const size_t i : bars.marked)
      if (i >= plot.categories.size()) throw std::logic_error("plot \"" + plot.title + "\": a marked category is not there");
  }
}

bool looks_like_a_number(const std::string& text) { return !text.empty() && text.find_first_not_of("0123456789.-") == std::string::npos; }

bool is_marked(const Bars& bars, size_t category) {
  return std::find(bars.marked.begin(), bars.marked.end(), category) != bars.marked.end();
}

std::string bar_class(const BarPlot& plot, size_t series, size_t category) {
  const bool marked = is_marked(plot.bars[series], category);
  if (marked && plot.bars.size() == 1) return series_class(kMarkedColour);
  return series_class(series) + (marked ? " marked" : "");
}

std::string rectangle(const std::string& css, double x0, double y0, double x1, double y1) {
  return fmt::format("<rect class=\"bar {}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>", css, px(std::min(x0, x1)),
                     px(std::min(y0, y1)), px(std::abs(x1 - x0)), px(std::abs(y1 - y0)));
}

// Thickness and offset of a series' bar inside its category's slot.
struct Slot {
  double bar, offset;
};
Slot slot_of(double slot, size_t series, size_t count) {
  const double used = std::min(slot * 0.78, 46.0 * static_cast<double>(count)), bar = used / static_cast<double>(count);
  return {bar, (slot - used) / 2 + bar * static_cast<double>(series)};
}

double inside(const Scale& scale, double value) { return scale.at(std::clamp(value, scale.low, scale.high)); }

std::string upright_bars(const Frame& frame, const BarPlot& plot) {
  std::string bars, intervals;
  const double slot = (frame.right() - frame.left()) / static_cast<double>(plot.categories.size()), zero = frame.y.at(0);
  for (size_t s = 0; s < plot.bars.size(); ++s) {
    const Slot place = slot_of(slot, s, plot.bars.size());
    for (size_t i = 0; i < plot.categories.size(); ++i) {
      const double value = plot.bars[s].values[i], x = frame.left() + slot * static_cast<double>(i) + place.offset;
      if (!std::isfinite(value)) continue;
      bars += rectangle(bar_class(plot, s, i), x, frame.y.at(value), x + place.bar - 1, zero);
      if (plot.bars[s].intervals.empty() || std::isnan(plot.bars[s].intervals[i].low) || std::isnan(plot.bars[s].intervals[i].high))
        continue;
      const double middle = x + (place.bar - 1) / 2, cap = std::min(4.0, place.bar * 0.3);
      const std::string low = px(inside(frame.y, plot.bars[s].intervals[i].low)),
                        high = px(inside(frame.y, plot.bars[s].intervals[i].high));
      intervals += fmt::format("M{0} {1}V{2}M{3} {1}h{4}M{3} {2}h{4}", px(middle), low, high, px(middle - cap), px(2 * cap));
    }
  }
  return fmt::format("{0}<path class=\"halo\" d=\"{1}\"/><path class=\"interval\" d=\"{1}\"/><path class=\"axis\" d=\"M{2} {3}H{4}\"/>",
                     bars, intervals, px(frame.left()), px(zero), px(frame.right()));
}

constexpr double kLyingBar = 15, kLyingGap = 12;

// Bars from left to right; in each slot `label` units on top stay free for the category's name.
std::string lying_bars(const Frame& frame, const BarPlot& plot, double slot, double label) {
  std::string bars, intervals;
  const double zero = frame.x.at(0);
  for (size_t s = 0; s < plot.bars.size(); ++s) {
    for (size_t i = 0; i < plot.categories.size(); ++i) {
      const double value = plot.bars[s].values[i];
      const double y = frame.top() + slot * static_cast<double>(i) + kLyingGap / 2 + label + kLyingBar * static_cast<double>(s);
      if (!std::isfinite(value)) continue;
      bars += rectangle(bar_class(plot, s, i), frame.x.at(value), y, zero, y + kLyingBar - 1);
      if (plot.bars[s].intervals.empty() || std::isnan(plot.bars[s].intervals[i].low) || std::isnan(plot.bars[s].intervals[i].high))
        continue;
      const double middle = y + (kLyingBar - 1) / 2, cap = 4;
      const std::string low = px(inside(frame.x, plot.bars[s].intervals[i].low)),
                        high = px(inside(frame.x, plot.bars[s].intervals[i].high));
      intervals += fmt::format("M{1} {0}H{2}M{1} {3}v{4}M{2} {3}v{4}", px(middle), low, high, px(middle - cap), px(2 * cap));
    }
  }
  return fmt::format("{0}<path class=\"halo\" d=\"{1}\"/><path class=\"interval\" d=\"{1}\"/><path class=\"axis\" d=\"M{2} {3}V{4}\"/>",
                     bars, intervals, px(zero), px(frame.top()), px(frame.bottom()));
}

// Category names below upright bars: all of them, or every k-th when they are numbers.
std::string upright_names(const Frame& frame, const BarPlot& plot) {
  double widest = 0;
  for (const std::string& name : plot.categories) widest = std::max(widest, text_width(name, frame.layout.font));
  const double slot = (frame.right() - frame.left()) / static_cast<double>(plot.categories.size());
  const auto every = static_cast<size_t>(std::max(1.0, std::ceil((widest + 5) / slot)));
  std::string html;
  for (size_t i = 0; i < plot.categories.size(); i += every)
    html += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" class=\"tick\">{}</text>",
                        px(frame.left() + slot * (static_cast<double>(i) + 0.5)), px(frame.bottom() + frame.layout.font * 1.4),
                        escape_html(plot.categories[i]));
  return html;
}

// Whether the categories' names fit under upright bars; numbers may be thinned.
bool stands(const Layout& layout, const BarPlot& plot) {
  const double slot = (layout.width - 60) / static_cast<double>(plot.categories.size());
  bool numbers = true, fits = true;
  for (const std::string& name : plot.categories) {
    numbers = numbers && looks_like_a_number(name);
    fits = fits && text_width(name, layout.font) + 8 <= slot;
  }
  return fits || (numbers && slot >= 5);
}

std::string upright_svg(const Layout& layout, const BarPlot& plot, AxisRange range, const std::string& description) {
  Frame frame = make_frame(layout, {.label = plot.categories_label}, plot.value, {0, 1}, range);
  frame.x_ticks.clear();
  frame.x_labels.clear();
  return svg(frame, axes(frame, false, true) + upright_bars(frame, plot) + upright_names(frame, plot) + level_lines(frame, plot.levels),
             plot.title, description);
}

// Names stand left of the bars, or above them when that would take more than two fifths of the width.
std::string lying_svg(Layout layout, const BarPlot& plot, AxisRange range, const std::string& description) {
  double widest = 0;
  for (const std::string& name : plot.categories) widest = std::max(widest, text_width(name, layout.font));
  const bool above = widest > 0.4 * layout.width;
  const double label = above ? layout.font * 1.5 : 0;
  const double slot = kLyingGap + label + kLyingBar * static_cast<double>(plot.bars.size());
  layout.height = slot * static_cast<double>(plot.categories.size()) + layout.font * 4.4;
  Axis none;
  Frame frame = make_frame(layout, plot.value, none, range, {0, 1});
  frame.lying = true;
  frame.y_ticks.clear();
  frame.y_labels.clear();
  frame.x.from = above ? 8 : widest + 12;
  frame.y = {0, 1, false, layout.height - layout.font * 3.8, layout.font * 0.6};
  std::string names, levels;
  for (size_t i = 0; i < plot.categories.size(); ++i) {
    const double top = frame.top() + slot * static_cast<double>(i);
    const double y = above ? top + kLyingGap / 2 + layout.font * 0.95 : top + slot / 2 + layout.font * 0.35;
    names += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" class=\"tick name\">{}</text>",
                         px(above ? frame.left() + 4 : frame.left() - 8), px(y), above ? "start" : "end",
                         escape_html(shortened(plot.categories[i], layout.width - 20, layout.font)));
  }
  for (const Level& level : plot.levels)
    if (std::isfinite(level.y))
      levels += fmt::format("<path class=\"level\" d=\"M{} {}V{}\"/>", px(frame.x.at(level.y)), px(frame.top()), px(frame.bottom()));
  return svg(frame, axes(frame, true, false) + lying_bars(frame, plot, slot, label) + levels + names, plot.title, description);
}

nlohmann::ordered_json bar_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::stod(fmt::format("{:.5g}", value));
}

std::string bar_json(const BarPlot& plot) {
  nlohmann::ordered_json json = {{"kind", "bar"},
                                 {"x", plot.categories_label},
                                 {"unit", plot.value.unit},
                                 {"categories", plot.categories},
                                 {"marked", plot.marked_name},
                                 {"series", nlohmann::ordered_json::array()}};
  for (const Bars& bars : plot.bars) {
    nlohmann::ordered_json series = {{"name", bars.name}, {"y", nlohmann::ordered_json::array()}};
    for (size_t i = 0; i < bars.values.size(); ++i) {
      series["y"].push_back(bar_number(bars.values[i]));
      if (bars.intervals.empty()) continue;
      series["low"].push_back(bar_number(bars.intervals[i].low));
      series["high"].push_back(bar_number(bars.intervals[i].high));
    }
    if (!bars.marked.empty()) series["marked"] = bars.marked;
    json["series"].push_back(series);
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string bar_values(const BarPlot& plot) {
  std::vector<std::string> header = {plot.categories_label.empty() ? "category" : plot.categories_label};
  for (const Bars& bars : plot.bars) header.push_back(bars.name.empty() ? axis_title(plot.value) : bars.name);
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < plot.categories.size(); ++i) {
    std::vector<std::string> row = {plot.categories[i]};
    for (const Bars& bars : plot.bars) {
      const int decimals = bars.intervals.empty() ? 0 : decimals_for(bars.values[i], bars.intervals[i]);
      std::string cell = bars.intervals.empty() ? number_text(bars.values[i])
                                                : number_text(bars.values[i], decimals) + " " + interval_text(bars.intervals[i], decimals);
      if (is_marked(bars, i) && !plot.marked_name.empty()) cell += " (" + plot.marked_name + ")";
      row.push_back(std::move(cell));
    }
    rows.push_back(std::move(row));
  }
  return values_table(header, rows);
}

std::vector<LegendKey> bar_legend(const BarPlot& plot) {
  std::vector<LegendKey> keys;
  bool any_marked = false, any_interval = false;
  for (const Bars& bars : plot.bars) {
    any_marked = any_marked || !bars.marked.empty();
    any_interval = any_interval || !bars.intervals.empty();
  }
  for (size_t s = 0; s < plot.bars.size(); ++s)
    if (!plot.bars[s].name.empty() && (plot.bars.size() > 1 || any_marked)) keys.push_back({LegendKey::Kind::block, s, plot.bars[s].name});
  if (any_marked && plot.bars.size() == 1) keys.push_back({LegendKey::Kind::block, kMarkedColour, plot.marked_name});
  if (any_marked && plot.bars.size() > 1) keys.push_back({LegendKey::Kind::marked, 0, plot.marked_name});
  for (const Level& level : plot.levels) keys.push_back({LegendKey::Kind::level, 0, level_title(level, plot.value)});
  if (any_interval) keys.push_back({LegendKey::Kind::whisker, 0, plot.interval_name});
  return keys;
}

}  // namespace

std::string figure(const BarPlot& plot, const std::string& id) {
  check_bar_plot(plot);
  std::vector<double> values;
  for (const Bars& bars : plot.bars) {
    values.insert(values.end(), bars.values.begin(), bars.values.end());
    for (const Interval& interval : bars.intervals) values.insert(values.end(), {interval.low, interval.high});
  }
  for (const Level& level : plot.levels) values.push_back(level.y);
  Axis axis = plot.value;
  axis.log = false;
  const AxisRange range = axis_range(axis, values, true, 0.06);
  const std::string description = fmt::format("Bar plot: {}. {} by {}.", plot.title, axis_title(plot.value),
                                              plot.categories_label.empty() ? "category" : plot.categories_label);
  std::string drawings;
  for (const Layout& layout : {kWide, kNarrow})
    drawings += stands(layout, plot) ? upright_svg(layout, plot, range, description) : lying_svg(layout, plot, range, description);
  return figure_html({.id = id,
                      .title = plot.title,
                      .caption = plot.caption,
                      .legend = legend(bar_legend(plot)),
                      .drawings = drawings,
                      .json = bar_json(plot),
                      .values = bar_values(plot)});
}

}  // namespace tessera::run
