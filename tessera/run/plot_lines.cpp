// Line plots: curves with interval bands and reference levels.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "tessera/run/plot_canvas.h"
#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

constexpr size_t kPointsPerLine = 240;  // a longer curve keeps the lowest and highest point of each stretch
constexpr size_t kPointsWithMarkers = 40;

void check_line_plot(const LinePlot& plot) {
  size_t points = 0;
  for (const Line& line : plot.lines) {
    if (line.x.size() != line.y.size() || (!line.band.empty() && line.band.size() != line.x.size()))
      throw std::logic_error("plot \"" + plot.title + "\": x, y and band of \"" + line.name + "\" differ in length");
    points += line.x.size();
  }
  if (points == 0) throw std::logic_error("plot \"" + plot.title + "\": no points");
}

// Stretches are equal parts of the axis, so that a log axis keeps its beginning.
Line thinned(const Line& line, bool log) {
  const size_t n = line.x.size();
  if (n <= kPointsPerLine) return line;
  const auto place = [&](double x) { return log ? std::log(std::max(x, 1e-300)) : x; };
  const size_t stretches = kPointsPerLine / 2;
  const double first_place = place(line.x.front()), range = std::max(place(line.x.back()) - first_place, 1e-300);
  std::set<size_t> kept = {0, n - 1};
  const auto less = [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; };  // gaps are lowest, so they stay
  for (size_t first = 0, last = 0; first < n; first = last) {
    const auto stretch = [&](size_t i) { return std::floor((place(line.x[i]) - first_place) / range * static_cast<double>(stretches)); };
    last = first + 1;
    while (last < n && stretch(last) == stretch(first)) ++last;
    const auto begin = line.y.begin() + static_cast<std::ptrdiff_t>(first), end = line.y.begin() + static_cast<std::ptrdiff_t>(last);
    kept.insert(static_cast<size_t>(std::min_element(begin, end, less) - line.y.begin()));
    kept.insert(static_cast<size_t>(std::max_element(begin, end, less) - line.y.begin()));
  }
  Line result{.name = line.name, .x = {}, .y = {}, .band = {}};
  for (const size_t i : kept) {
    result.x.push_back(line.x[i]);
    result.y.push_back(line.y[i]);
    if (!line.band.empty()) result.band.push_back(line.band[i]);
  }
  return result;
}

bool drawable(const Scale& scale, double value) { return std::isfinite(value) && (!scale.log || value > 0); }

double clipped(const Scale& scale, double value) {
  return std::clamp(scale.at(std::clamp(value, scale.low, scale.high)), std::min(scale.from, scale.to), std::max(scale.from, scale.to));
}

std::string curve(const Frame& frame, const Line& line, size_t series) {
  std::string path, dots;
  bool pen_down = false;
  for (size_t i = 0; i < line.x.size(); ++i) {
    if (!drawable(frame.x, line.x[i]) || !drawable(frame.y, line.y[i])) {
      pen_down = false;
      continue;
    }
    const double x = frame.x.at(line.x[i]), y = frame.y.at(line.y[i]);
    path += fmt::format("{}{} {}", pen_down ? "L" : "M", px(x), px(y));
    pen_down = true;
    if (line.x.size() <= kPointsWithMarkers) dots += marker(series, x, y, 3.6);
  }
  const std::string dash = series_dash(series);
  return fmt::format("<g class=\"{}\"><path class=\"curve\" d=\"{}\"{}/>{}</g>", series_class(series), path,
                     dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash), dots);
}

// The band of each stretch without gaps: along the high ends, back along the low ones.
std::string band(const Frame& frame, const Line& line, size_t series) {
  std::string path, back;
  const auto close = [&] {
    if (!path.empty() && !back.empty()) path += back + "Z";
    back.clear();
  };
  for (size_t i = 0; i < line.band.size(); ++i) {
    const Interval& interval = line.band[i];
    if (!drawable(frame.x, line.x[i]) || std::isnan(interval.low) || std::isnan(interval.high)) {
      close();
      continue;
    }
    const std::string x = px(frame.x.at(line.x[i]));
    path += fmt::format("{}{} {}", back.empty() ? "M" : "L", x, px(clipped(frame.y, interval.high)));
    back.insert(0, fmt::format("L{} {}", x, px(clipped(frame.y, interval.low))));
  }
  close();
  return fmt::format("<path class=\"band {}\" d=\"{}\"/>", series_class(series), path);
}

// The x values themselves as ticks when they are few: 1, 2, 3, 5, 8 layers.
std::vector<double> few_whole_values(const std::vector<Line>& lines) {
  std::set<double> values;
  for (const Line& line : lines)
    for (const double x : line.x) {
      if (x != std::floor(x)) return {};
      values.insert(x);
      if (values.size() > 12) return {};
    }
  return {values.begin(), values.end()};
}

nlohmann::ordered_json short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::stod(fmt::format("{:.5g}", value));
}

nlohmann::ordered_json line_json(const Line& line) {
  nlohmann::ordered_json json = {{"name", line.name}, {"x", nlohmann::ordered_json::array()}, {"y", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < line.x.size(); ++i) {
    json["x"].push_back(short_number(line.x[i]));
    json["y"].push_back(short_number(line.y[i]));
    if (!line.band.empty()) {
      json["low"].push_back(short_number(line.band[i].low));
      json["high"].push_back(short_number(line.band[i].high));
    }
  }
  return json;
}

std::string line_values(const LinePlot& plot, const std::vector<Line>& lines) {
  std::map<double, std::vector<std::string>> cells;
  std::vector<std::string> header = {axis_title(plot.x).empty() ? "x" : axis_title(plot.x)};
  for (size_t s = 0; s < lines.size(); ++s) {
    header.push_back(lines[s].name.empty() ? axis_title(plot.y) : lines[s].name);
    for (size_t i = 0; i < lines[s].x.size(); ++i) {
      if (std::isnan(lines[s].x[i])) continue;
      auto& row = cells[lines[s].x[i]];
      row.resize(lines.size());
      const double y = lines[s].y[i];
      if (lines[s].band.empty()) {
        row[s] = number_text(y);
        continue;
      }
      const int decimals = decimals_for(y, lines[s].band[i]);
      row[s] = number_text(y, decimals) + " " + interval_text(lines[s].band[i], decimals);
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (auto& [x, row] : cells) {
    row.insert(row.begin(), number_text(x));
    rows.push_back(std::move(row));
  }
  return values_table(header, rows);
}

std::vector<LegendKey> line_legend(const LinePlot& plot) {
  std::vector<LegendKey> keys;
  bool any_band = false;
  for (size_t s = 0; s < plot.lines.size(); ++s) {
    if (!plot.lines[s].name.empty()) keys.push_back({LegendKey::Kind::line, s, plot.lines[s].name});
    any_band = any_band || !plot.lines[s].band.empty();
  }
  for (const Level& level : plot.levels) keys.push_back({LegendKey::Kind::level, 0, level_title(level, plot.y)});
  if (any_band) keys.push_back({LegendKey::Kind::band, 0, plot.interval_name});
  return keys;
}

}  // namespace

std::string figure(const LinePlot& plot, const std::string& id) {
  check_line_plot(plot);
  std::vector<Line> lines;
  std::vector<double> all_x, all_y;
  nlohmann::ordered_json json = {
      {"kind", "line"}, {"x", axis_title(plot.x)}, {"unit", plot.y.unit}, {"series", nlohmann::ordered_json::array()}};
  for (const Line& line : plot.lines) {
    lines.push_back(thinned(line, plot.x.log));
    const Line& thin = lines.back();
    all_x.insert(all_x.end(), thin.x.begin(), thin.x.end());
    all_y.insert(all_y.end(), thin.y.begin(), thin.y.end());
    for (const Interval& interval : thin.band) all_y.insert(all_y.end(), {interval.low, interval.high});
    json["series"].push_back(line_json(thin));
  }
  for (const Level& level : plot.levels) all_y.push_back(level.y);

  std::string drawings;
  for (const Layout& layout : {kWide, kNarrow}) {
    const Frame frame = make_frame(layout, plot.x, plot.y, axis_range(plot.x, all_x, false, 0.03), axis_range(plot.y, all_y, false, 0.06),
                                   plot.x.log ? std::vector<double>{} : few_whole_values(lines));
    std::string content = axes(frame, false, true);
    for (size_t s = 0; s < lines.size(); ++s)
      if (!lines[s].band.empty()) content += band(frame, lines[s], s);
    content += level_lines(frame, plot.levels);
    for (size_t s = 0; s < lines.size(); ++s) content += curve(frame, lines[s], s);
    drawings +=
        svg(frame, content, plot.title, fmt::format("Line plot: {}. {} against {}.", plot.title, axis_title(plot.y), axis_title(plot.x)));
  }
  return figure_html({.id = id,
                      .title = plot.title,
                      .caption = plot.caption,
                      .legend = legend(line_legend(plot)),
                      .drawings = drawings,
                      .json = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace),
                      .values = line_values(plot, lines)});
}

}  // namespace tessera::run
