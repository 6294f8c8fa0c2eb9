// Scatter plots with rank and linear correlations.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "tessera/run/plot_canvas.h"
#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

// The points of a cloud that the axes can show.
struct Points {
  std::vector<double> x, y;
  std::vector<std::string> names;
};

Points shown_points(const ScatterPlot& plot, const Cloud& cloud) {
  if (cloud.x.size() != cloud.y.size() || (!cloud.names.empty() && cloud.names.size() != cloud.x.size()))
    throw std::logic_error("plot \"" + plot.title + "\": x, y and names of \"" + cloud.name + "\" differ in length");
  Points points;
  for (size_t i = 0; i < cloud.x.size(); ++i) {
    if (!std::isfinite(cloud.x[i]) || !std::isfinite(cloud.y[i])) continue;
    if ((plot.x.log && cloud.x[i] <= 0) || (plot.y.log && cloud.y[i] <= 0)) continue;
    points.x.push_back(cloud.x[i]);
    points.y.push_back(cloud.y[i]);
    points.names.push_back(cloud.names.empty() ? "" : cloud.names[i]);
  }
  return points;
}

double linear_correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n, mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xy / std::sqrt(xx * yy);
}

// Every k-th point, so that at most kPointsPerCloud are drawn; the correlations come from all.
constexpr size_t kPointsPerCloud = 500;
Points drawn_points(const Points& all) {
  const size_t every = (all.x.size() + kPointsPerCloud - 1) / kPointsPerCloud;
  if (every <= 1) return all;
  Points points;
  for (size_t i = 0; i < all.x.size(); i += every) {
    points.x.push_back(all.x[i]);
    points.y.push_back(all.y[i]);
    points.names.push_back(all.names[i]);
  }
  return points;
}

// Ranks from 0; equal values share the mean of their places.
std::vector<double> mean_ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    for (size_t i = first; i < last; ++i) ranks[order[i]] = static_cast<double>(first + last - 1) / 2;
  }
  return ranks;
}

std::string cloud_title(const ScatterPlot& plot, const Cloud& cloud, const Points& points) {
  if (!plot.correlation || points.x.size() < 3) return cloud.name;
  const double spearman = linear_correlation(mean_ranks(points.x), mean_ranks(points.y)), pearson = linear_correlation(points.x, points.y);
  return fmt::format("{}{}Spearman {}, Pearson {} (n = {})", cloud.name, cloud.name.empty() ? "" : ": ", number_text(spearman, 2),
                     number_text(pearson, 2), points.x.size());
}

std::string dots(const Frame& frame, const Points& points, size_t series) {
  const double size = points.x.size() > 300 ? 2.5 : 4.2;
  std::string marks;
  for (size_t i = 0; i < points.x.size(); ++i) marks += marker(series, frame.x.at(points.x[i]), frame.y.at(points.y[i]), size);
  return fmt::format("<g class=\"cloud {}\">{}</g>", series_class(series), marks);
}

nlohmann::ordered_json points_json(const Cloud& cloud, const Points& points) {
  nlohmann::ordered_json json = {{"name", cloud.name}, {"x", nlohmann::ordered_json::array()}, {"y", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < points.x.size(); ++i) {
    json["x"].push_back(std::stod(fmt::format("{:.5g}", points.x[i])));
    json["y"].push_back(std::stod(fmt::format("{:.5g}", points.y[i])));
  }
  if (!cloud.names.empty()) json["names"] = points.names;
  return json;
}

}  // namespace

std::string figure(const ScatterPlot& plot, const std::string& id) {
  std::vector<Points> clouds;
  std::vector<double> all_x, all_y;
  std::vector<LegendKey> keys;
  std::vector<std::vector<std::string>> rows;
  nlohmann::ordered_json json = {
      {"kind", "scatter"}, {"x", axis_title(plot.x)}, {"y", axis_title(plot.y)}, {"series", nlohmann::ordered_json::array()}};
  for (size_t s = 0; s < plot.clouds.size(); ++s) {
    const Cloud& cloud = plot.clouds[s];
    const Points every_point = shown_points(plot, cloud), points = drawn_points(every_point);
    all_x.insert(all_x.end(), points.x.begin(), points.x.end());
    all_y.insert(all_y.end(), points.y.begin(), points.y.end());
    std::string name = cloud_title(plot, cloud, every_point);
    if (points.x.size() < every_point.x.size()) name += fmt::format(" ({} of them drawn)", points.x.size());
    if (!name.empty()) keys.push_back({LegendKey::Kind::dots, s, name});
    for (size_t i = 0; i < points.x.size(); ++i)
      rows.push_back({points.names[i].empty() ? cloud.name : points.names[i], number_text(points.x[i]), number_text(points.y[i])});
    json["series"].push_back(points_json(cloud, points));
    clouds.push_back(points);
  }
  if (all_x.empty()) throw std::logic_error("plot \"" + plot.title + "\": no points");
  std::string drawings;
  for (const Layout& layout : {kWide, kNarrow}) {
    const Frame frame = make_frame(layout, plot.x, plot.y, axis_range(plot.x, all_x, false, 0.04), axis_range(plot.y, all_y, false, 0.06));
    std::string content = axes(frame, true, true);
    for (size_t s = 0; s < clouds.size(); ++s) content += dots(frame, clouds[s], s);
    drawings += svg(frame, content, plot.title,
                    fmt::format("Scatter plot: {}. {} against {}.", plot.title, axis_title(plot.y), axis_title(plot.x)));
  }
  return figure_html({.id = id,
                      .title = plot.title,
                      .caption = plot.caption,
                      .legend = legend(keys),
                      .drawings = drawings,
                      .json = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace),
                      .values = values_table({"point", axis_title(plot.x), axis_title(plot.y)}, rows)});
}

}  // namespace tessera::run
