#pragma once
// Plots as static SVG for reports: axes with units and round ticks, legends, intervals. Colours tell series apart for colour-blind readers,
// and so do markers and dashes. Values that are not finite leave a gap. The page's script adds hover values from the JSON beside each plot.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tessera/run/bootstrap.h"

namespace tessera::run {

struct Axis {
  std::string label = {};           // "layers removed"
  std::string unit = {};            // "nats": shown as "label [unit]"
  bool log = false;                 // values <= 0 are then left out
  std::optional<double> from = {};  // the axis covers at least [from, to]; by default just the data (bars: 0 too)
  std::optional<double> to = {};
};

// One curve. x ascends; y, and band when given, are as long as x.
struct Line {
  std::string name;
  std::vector<double> x, y;
  std::vector<Interval> band = {};
};

// A horizontal reference line with its name, such as the dense model.
struct Level {
  std::string name;
  double y = 0;
};

struct LinePlot {
  std::string title;
  Axis x = {}, y = {};
  std::vector<Line> lines = {};
  std::vector<Level> levels = {};
  std::string caption = {};                     // what one sees and how it was measured; Markdown as Report::text
  std::string interval_name = "95 % interval";  // what the bands are, for the legend
};

// One value per category, with an interval each when given. `marked` are categories drawn in a second colour: the removed layers.
struct Bars {
  std::string name;
  std::vector<double> values;
  std::vector<Interval> intervals = {};
  std::vector<size_t> marked = {};
};

// Bars from zero, grouped by category; many or long categories lie on their side.
struct BarPlot {
  std::string title;
  std::string categories_label = {};  // "layer"
  std::vector<std::string> categories = {};
  Axis value = {};  // never log: bars start at zero
  std::vector<Bars> bars = {};
  std::string marked_name = {};  // what the marked categories are, for the legend
  std::vector<Level> levels = {};
  std::string caption = {};
  std::string interval_name = "95 % interval";
};

// Points with a name each when given ("layer 7").
struct Cloud {
  std::string name;
  std::vector<double> x, y;
  std::vector<std::string> names = {};
};

struct ScatterPlot {
  std::string title;
  Axis x = {}, y = {};
  std::vector<Cloud> clouds = {};
  bool correlation = true;  // prints Spearman's and Pearson's correlation of each cloud
  std::string caption = {};
};

// A whole <figure>: title, legend, the plot for wide pages and for phones, caption, a table of the values behind a <details>, and the JSON
// the script reads. `id` is unique on the page: "plot-3". Throws std::logic_error when lengths of a series disagree or nothing is to be
// drawn.
std::string figure(const LinePlot& plot, const std::string& id);
std::string figure(const BarPlot& plot, const std::string& id);
std::string figure(const ScatterPlot& plot, const std::string& id);

}  // namespace tessera::run
