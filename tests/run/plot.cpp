#include "tessera/run/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/run/plot_canvas.h"
#include "tessera/run/report_text.h"

namespace tessera::run {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Ticks, AreRoundAndNotTooMany) {
  EXPECT_THAT(round_ticks(0, 1, 6), ElementsAre(0, 0.2, 0.4, testing::DoubleNear(0.6, 1e-12), 0.8, 1.0));
  EXPECT_THAT(round_ticks(-3, 17, 5), ElementsAre(0, 5, 10, 15));
  EXPECT_THAT(tick_labels({0, 0.02, 0.04}, false), ElementsAre("0.00", "0.02", "0.04"));
  EXPECT_THAT(tick_labels({-1, 0, 1}, false), ElementsAre("−1", "0", "1"));
  EXPECT_THAT(tick_labels({0, 20000}, false), ElementsAre("0", "20,000"));
  for (const auto& [low, high] : {std::pair{0.0, 1e-9}, {-7.3, 1e6}, {1e12, 1.1e12}, {0.99, 1.01}, {-5.0, -4.999}})
    for (int at_most = 2; at_most < 13; ++at_most) {
      const auto ticks = round_ticks(low, high, at_most);
      EXPECT_LE(ticks.size(), static_cast<size_t>(at_most)) << low << " " << high;
      EXPECT_GE(ticks.size(), 1u) << low << " " << high << " " << at_most;
      for (const double tick : ticks) {
        EXPECT_GE(tick, low - 1e-6 * std::abs(high - low));
        EXPECT_LE(tick, high + 1e-6 * std::abs(high - low));
      }
    }
}

TEST(Ticks, OfLogAxesAreDecadesAndTheirParts) {
  EXPECT_THAT(log_ticks(1, 100, 12), ElementsAre(1, 2, 5, 10, 20, 50, 100));
  EXPECT_THAT(log_ticks(1, 1000, 5), ElementsAre(1, 10, 100, 1000));
  EXPECT_THAT(log_ticks(20, 30, 6), ElementsAre(20, 22, 24, 26, 28, 30));
  EXPECT_LE(log_ticks(1e-12, 1e12, 6).size(), 6u);
  EXPECT_THAT(tick_labels({0.001, 0.5, 20, 1000, 1e6}, true), ElementsAre("0.001", "0.5", "20", "1000", "1,000,000"));
  EXPECT_THAT(tick_labels({1e-5, 1e-4, 0.5, 20}, true), ElementsAre("10⁻⁵", "10⁻⁴", "5×10⁻¹", "2×10¹")) << "one notation an axis";
  EXPECT_THAT(tick_labels({1, 1000, 1e6, 1e9}, true), ElementsAre("10⁰", "10³", "10⁶", "10⁹"));
}

TEST(Scales, MapEndsToEnds) {
  const Scale linear{2, 4, false, 100, 200}, log{1, 100, true, 0, 10};
  EXPECT_EQ(linear.at(3), 150);
  EXPECT_NEAR(log.at(10), 5, 1e-12);
}

TEST(Ranges, CoverTheDataAndLeaveAMargin) {
  const double nan = std::nan(""), infinity = INFINITY;
  const AxisRange near = axis_range({}, {1, 10, nan, infinity}, false, 0.05);
  EXPECT_EQ(near.low, 0) << "data that come near zero show it";
  EXPECT_NEAR(near.high, 10.5, 1e-9);
  const AxisRange far = axis_range({}, {100, 110}, false, 0.05);
  EXPECT_NEAR(far.low, 99.5, 1e-9);
  const AxisRange forced = axis_range({.from = 0, .to = 200}, {100, 110}, false, 0.05);
  EXPECT_EQ(forced.low, 0);
  EXPECT_EQ(forced.high, 200);
  EXPECT_GT(axis_range({.log = true}, {-1, 0, 5, 50}, false, 0.05).low, 0);
  for (const std::vector<double>& odd : {std::vector<double>{}, {nan}, {0}, {3, 3}}) {
    const AxisRange range = axis_range({}, odd, false, 0.05);
    EXPECT_LT(range.low, range.high);
    EXPECT_TRUE(std::isfinite(range.low) && std::isfinite(range.high));
  }
}

size_t occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Figures, GapsBreakCurvesAndBands) {
  const double nan = std::nan("");
  const std::string html = figure(
      LinePlot{
          .title = "t",
          .lines = {{.name = "a", .x = {1, 2, 3, 4, 5}, .y = {1, 2, nan, 4, 5}, .band = {{0, 2}, {1, 3}, {nan, nan}, {3, 5}, {4, 6}}}}},
      "p");
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, HasSubstr("95 % interval"));
  const size_t curve = html.find("class=\"curve\"", html.find("class=\"plot\""));
  const std::string path = html.substr(curve, html.find("/>", curve) - curve);
  EXPECT_EQ(occurrences(path, "M"), 2u) << path;
  EXPECT_EQ(occurrences(path, "L"), 2u) << path;
  const size_t band = html.find("class=\"band ");
  EXPECT_EQ(occurrences(html.substr(band, html.find("/>", band) - band), "Z"), 2u);
}

TEST(Figures, LongCurvesKeepTheirExtremes) {
  Line line{.name = "loss", .x = {}, .y = {}, .band = {}};
  for (int i = 0; i < 20000; ++i) {
    line.x.push_back(i);
    line.y.push_back(std::sin(i * 0.01));
  }
  line.y[12345] = 99;
  const std::string html = figure(LinePlot{.title = "t", .lines = {line}}, "p");
  EXPECT_LT(html.size(), 20000u);
  const size_t begin = html.find("application/json\">") + 18;
  const auto json = nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  const auto& y = json["series"][0]["y"];
  EXPECT_LE(y.size(), 260u);
  EXPECT_NE(std::find(y.begin(), y.end(), 99), y.end());
}

TEST(Figures, LongNamesMakeBarsLie) {
  BarPlot plot{.title = "t", .categories = {"a", "b"}, .bars = {{.name = "v", .values = {1, -2}}}};
  EXPECT_THAT(figure(plot, "p"), Not(HasSubstr("data-lying")));
  plot.categories = {"a name that is much too long to stand below an upright bar of this figure", "b"};
  EXPECT_EQ(occurrences(figure(plot, "p"), "data-lying"), 2u);
}

TEST(Figures, CorrelationsAreRight) {
  const ScatterPlot plot{.title = "t", .clouds = {{.name = "c", .x = {1, 2, 3, 4}, .y = {1, 4, 9, 16}}}};
  EXPECT_THAT(figure(plot, "p"), HasSubstr("c: Spearman 1.00, Pearson 0.98 (n = 4)"));
  const ScatterPlot ties{.title = "t", .clouds = {{.name = "c", .x = {1, 2, 2, 3}, .y = {4, 3, 1, 2}}}};
  EXPECT_THAT(figure(ties, "p"), HasSubstr("Spearman −0.63"));  // ranks 0 1.5 1.5 3 and 3 2 0 1: -3 / sqrt(4.5 * 5)
}

TEST(Figures, RefuseSeriesThatDisagree) {
  EXPECT_THROW(figure(LinePlot{.title = "t", .lines = {{.name = "a", .x = {1}, .y = {}}}}, "p"), std::logic_error);
  EXPECT_THROW(figure(LinePlot{.title = "t"}, "p"), std::logic_error);
  EXPECT_THROW(figure(BarPlot{.title = "t", .categories = {"a"}, .bars = {{.name = "v", .values = {1, 2}}}}, "p"), std::logic_error);
  EXPECT_THROW(figure(BarPlot{.title = "t", .categories = {"a"}, .bars = {{.name = "v", .values = {1}, .marked = {1}}}}, "p"),
               std::logic_error);
  EXPECT_THROW(figure(ScatterPlot{.title = "t", .clouds = {{.name = "c", .x = {1}, .y = {}}}}, "p"), std::logic_error);
}

}  // namespace
}  // namespace tessera::run
