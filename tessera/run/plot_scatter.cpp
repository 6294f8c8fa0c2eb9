// Scatter plots with rank and linear correlations.

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/run/correlation.h"
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

std::string cloud_title(const ScatterPlot& plot, const Cloud& cloud, const Points& points) {
  if (!plot.correlation || points.x.size() < 3) return cloud.name;
  return fmt::format("{}{}Spearman {}, Pearson {} (n = {})", cloud.name, cloud.name.empty() ? "" : ": ",
                     number_text(spearman(points.x, points.y), 2), number_text(pearson(points.x, points.y), 2), points.x.size());
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
