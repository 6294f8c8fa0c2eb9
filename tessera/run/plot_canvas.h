#pragma once
// What all plots share: the two layouts of a figure, frames with axes, series marks, and the <figure> around them.

#include <string>
#include <string_view>
#include <vector>

#include "tessera/run/plot_scale.h"

namespace tessera::run {

// A figure is drawn once for wide pages and print and once for phones; the style sheet shows one of them.
struct Layout {
  const char* name;  // the CSS class
  double width, height;
  double font;  // pixels at full size
  int x_ticks, y_ticks;
};
inline constexpr Layout kWide{"wide", 760, 380, 13, 12, 7};
inline constexpr Layout kNarrow{"narrow", 350, 290, 12, 6, 6};

// The plot's area inside an SVG, and what the values along its sides are.
struct Frame {
  Layout layout;
  Scale x, y;
  std::vector<double> x_ticks, y_ticks;
  std::vector<std::string> x_labels, y_labels;
  std::string x_title, y_title;  // axis label and unit
  bool lying = false;            // bars from left to right, categories from top to bottom

  double left() const { return x.from; }
  double right() const { return x.to; }
  double top() const { return y.to; }
  double bottom() const { return y.from; }
};

// A frame with margins that fit its labels. Ranges are those of axis_range(); `x_values` when not empty are the only places for x ticks
// (numbers of layers), thinned until they fit.
Frame make_frame(const Layout& layout, const Axis& x, const Axis& y, AxisRange x_range, AxisRange y_range,
                 const std::vector<double>& x_values = {});
// Grid lines, tick labels, axis titles. `along_x` and `along_y`: whether that side has grid lines.
std::string axes(const Frame& frame, bool along_x, bool along_y);
// <svg> with its accessible name around `content`; the frame's area and ranges stand in data attributes for the script.
std::string svg(const Frame& frame, std::string_view content, const std::string& title, const std::string& description);

// "12.3": a coordinate with one decimal at most.
std::string px(double coordinate);
// The width of a text in SVG units, estimated from above.
double text_width(std::string_view text, double font);
// `text`, cut with "…" where it is wider than `width`.
std::string shortened(const std::string& text, double width, double font);
// Class names of a series' colour ("s0" to "s6") and the dash pattern of its line ("" for a solid one); both repeat after a while, not
// together.
std::string series_class(size_t series);
std::string series_dash(size_t series);
// One of seven shapes around (x, y), `size` from middle to edge.
std::string marker(size_t series, double x, double y, double size);

// One entry of a legend.
struct LegendKey {
  enum class Kind { line, block, marked, dots, level, band, whisker };
  Kind kind = Kind::line;
  size_t series = 0;
  std::string name;
};
std::string legend(const std::vector<LegendKey>& keys);
// Dashed lines at `levels` across the frame.
std::string level_lines(const Frame& frame, const std::vector<Level>& levels);
std::string level_title(const Level& level, const Axis& axis);  // "dense: 3.21 nats"
std::string axis_title(const Axis& axis);                       // "label [unit]"

// What stands around the drawings of a figure.
struct FigureParts {
  std::string id, title, caption;
  std::string legend;    // HTML
  std::string drawings;  // the SVGs
  std::string json;      // what the script reads
  std::string values;    // HTML of the table of values; empty: none
};
std::string figure_html(const FigureParts& parts);

// A table of numbers for people who want to read or copy them: the first column's texts, then one column per header.
std::string values_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
inline constexpr size_t kValuesRows = 120;  // longer ones are left out: metrics.jsonl has them

}  // namespace tessera::run
