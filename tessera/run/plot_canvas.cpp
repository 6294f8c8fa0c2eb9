#include "tessera/run/plot_canvas.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

constexpr size_t kColours = 7;

// Keeps every k-th tick, k the smallest for which labels stay apart.
void thin_ticks(Frame& frame) {
  const double gap = frame.layout.font * 0.7;
  for (size_t every = 1; every <= frame.x_ticks.size(); ++every) {
    double free_from = -INFINITY;
    bool fits = true;
    for (size_t i = 0; i < frame.x_ticks.size(); i += every) {
      const double half = text_width(frame.x_labels[i], frame.layout.font) / 2, at = frame.x.at(frame.x_ticks[i]);
      fits = fits && at - half >= free_from;
      free_from = at + half + gap;
    }
    if (!fits && every < frame.x_ticks.size()) continue;
    std::vector<double> ticks;
    std::vector<std::string> labels;
    for (size_t i = 0; i < frame.x_ticks.size(); i += every) {
      ticks.push_back(frame.x_ticks[i]);
      labels.push_back(frame.x_labels[i]);
    }
    frame.x_ticks = std::move(ticks);
    frame.x_labels = std::move(labels);
    return;
  }
}

std::string text_at(double x, double y, const char* anchor, const char* css, std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" class=\"{}\">{}</text>", px(x), px(y), anchor, css, escape_html(text));
}

std::string swatch(const LegendKey& key) {
  const std::string css = series_class(key.series), dash = series_dash(key.series);
  const std::string dashed = dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash);
  switch (key.kind) {
    case LegendKey::Kind::line:
      return fmt::format("<g class=\"{}\"><path class=\"curve\" d=\"M1 7H27\"{}/>{}</g>", css, dashed, marker(key.series, 14, 7, 3.6));
    case LegendKey::Kind::block:
      return fmt::format("<rect class=\"bar {}\" x=\"6\" y=\"1\" width=\"16\" height=\"12\" rx=\"2\"/>", css);
    case LegendKey::Kind::marked:
      return "<rect class=\"bar marked\" x=\"6\" y=\"1\" width=\"16\" height=\"12\" rx=\"2\"/>";
    case LegendKey::Kind::whisker:
      return "<path class=\"interval\" d=\"M14 1V13M10 1h8M10 13h8\"/>";
    case LegendKey::Kind::dots:
      return fmt::format("<g class=\"{}\">{}</g>", css, marker(key.series, 14, 7, 4.2));
    case LegendKey::Kind::level:
      return "<path class=\"level\" d=\"M1 7H27\"/>";
    case LegendKey::Kind::band:
      return "<rect class=\"bandkey\" x=\"2\" y=\"1.5\" width=\"24\" height=\"11\" rx=\"2\"/>";
  }
  return "";
}

std::string axis_data(const char* name, const Scale& scale) {
  return fmt::format(" data-{}=\"{:.8g} {:.8g} {} {} {}\"", name, scale.low, scale.high, scale.log ? 1 : 0, px(scale.from), px(scale.to));
}

}  // namespace

std::string px(double coordinate) {
  std::string text = fmt::format("{:.1f}", coordinate);
  if (text.size() > 2 && text.compare(text.size() - 2, 2, ".0") == 0) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

double text_width(std::string_view text, double font) {
  const auto characters = std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  return 0.58 * font * static_cast<double>(characters);
}

std::string shortened(const std::string& text, double width, double font) {
  if (text_width(text, font) <= width) return text;
  std::string cut = text;
  while (!cut.empty() && text_width(cut + "…", font) > width) {
    while (!cut.empty() && (static_cast<unsigned char>(cut.back()) & 0xc0) == 0x80) cut.pop_back();
    if (!cut.empty()) cut.pop_back();
  }
  return cut + "…";
}

std::string series_class(size_t series) { return fmt::format("s{}", series % kColours); }

std::string series_dash(size_t series) {
  constexpr std::array<const char*, 4> dashes = {"", "7 3", "2 3", "9 3 2 3"};
  return dashes[(series + series / kColours) % dashes.size()];
}

std::string marker(size_t series, double x, double y, double size) {
  const double s = size, d = size * 1.25;
  switch (series % kColours) {
    case 0:
      return fmt::format("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>", px(x), px(y), px(s));
    case 1:
      return fmt::format("<path class=\"dot\" d=\"M{} {}h{}v{}h{}z\"/>", px(x - s), px(y - s), px(2 * s), px(2 * s), px(-2 * s));
    case 2:
      return fmt::format("<path class=\"dot\" d=\"M{} {}l{} {}h{}z\"/>", px(x), px(y - d), px(d), px(2 * s), px(-2 * d));
    case 3:
      return fmt::format("<path class=\"dot\" d=\"M{} {}l{} {}l{} {}l{} {}z\"/>", px(x), px(y - d), px(d), px(d), px(-d), px(d), px(-d),
                         px(-d));
    case 4:
      return fmt::format("<path class=\"dot\" d=\"M{} {}l{} {}h{}z\"/>", px(x), px(y + d), px(d), px(-2 * s), px(-2 * d));
    case 5:
      return fmt::format("<path class=\"stroke\" d=\"M{} {}h{}M{} {}v{}\"/>", px(x - d), px(y), px(2 * d), px(x), px(y - d), px(2 * d));
    default:
      return fmt::format("<path class=\"stroke\" d=\"M{} {}l{} {}M{} {}l{} {}\"/>", px(x - s), px(y - s), px(2 * s), px(2 * s), px(x - s),
                         px(y + s), px(2 * s), px(-2 * s));
  }
}

std::string axis_title(const Axis& axis) {
  if (axis.unit.empty()) return axis.label;
  return axis.label.empty() ? axis.unit : fmt::format("{} [{}]", axis.label, axis.unit);
}

Frame make_frame(const Layout& layout, const Axis& x, const Axis& y, AxisRange x_range, AxisRange y_range,
                 const std::vector<double>& x_values) {
  Frame frame{
      .layout = layout, .x = {}, .y = {}, .x_ticks = {}, .y_ticks = {}, .x_labels = {}, .y_labels = {}, .x_title = {}, .y_title = {}};
  frame.x_title = axis_title(x);
  frame.y_title = axis_title(y);
  frame.y_ticks = y.log ? log_ticks(y_range.low, y_range.high, layout.y_ticks) : round_ticks(y_range.low, y_range.high, layout.y_ticks);
  frame.y_labels = tick_labels(frame.y_ticks, y.log);
  double label_width = 0;
  for (const std::string& label : frame.y_labels) label_width = std::max(label_width, text_width(label, layout.font));
  const double top = frame.y_title.empty() ? layout.font : layout.font * 2.2;
  const double bottom = layout.height - layout.font * (frame.x_title.empty() ? 2.2 : 3.8);
  frame.y = {y_range.low, y_range.high, y.log, bottom, top};
  frame.x = {x_range.low, x_range.high, x.log, label_width + 12, layout.width - layout.font * 1.2};
  frame.x_ticks = x_values;
  if (x_values.empty())
    frame.x_ticks = x.log ? log_ticks(x_range.low, x_range.high, layout.x_ticks) : round_ticks(x_range.low, x_range.high, layout.x_ticks);
  frame.x_labels = tick_labels(frame.x_ticks, x.log);
  thin_ticks(frame);
  return frame;
}

std::string axes(const Frame& frame, bool along_x, bool along_y) {
  std::string grid, ticks, text;
  const double font = frame.layout.font;
  for (size_t i = 0; i < frame.y_ticks.size(); ++i) {
    const double y = frame.y.at(frame.y_ticks[i]);
    if (along_y) grid += fmt::format("M{} {}H{}", px(frame.left()), px(y), px(frame.right()));
    text += text_at(frame.left() - 8, y + font * 0.35, "end", "tick", frame.y_labels[i]);
  }
  for (size_t i = 0; i < frame.x_ticks.size(); ++i) {
    const double x = frame.x.at(frame.x_ticks[i]);
    if (along_x) grid += fmt::format("M{} {}V{}", px(x), px(frame.top()), px(frame.bottom()));
    ticks += fmt::format("M{} {}v5", px(x), px(frame.bottom()));
    text += text_at(x, frame.bottom() + font * 1.5, "middle", "tick", frame.x_labels[i]);
  }
  const double width = 0.94 * frame.layout.width;
  if (!frame.y_title.empty()) text += text_at(0, font, "start", "title", shortened(frame.y_title, width, font));
  if (!frame.x_title.empty()) {
    const std::string title = shortened(frame.x_title, width, font);
    const double half = text_width(title, font) / 2 + 4, middle = (frame.left() + frame.right()) / 2;
    text += text_at(std::min(middle, frame.layout.width - half), frame.layout.height - font * 0.6, "middle", "title", title);
  }
  return fmt::format("<path class=\"grid\" d=\"{}\"/><path class=\"axis\" d=\"M{} {}H{}{}\"/>{}", grid, px(frame.left()),
                     px(frame.bottom()), px(frame.right()), ticks, text);
}

std::string svg(const Frame& frame, std::string_view content, const std::string& title, const std::string& description) {
  return fmt::format(
      "<svg class=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" tabindex=\"0\" aria-label=\"{}\" "
      "font-size=\"{}\"{}{}{}><title>{}</title>{}</svg>\n",
      frame.layout.name, px(frame.layout.width), px(frame.layout.height), escape_html(description), px(frame.layout.font),
      axis_data("x", frame.x), axis_data("y", frame.y), frame.lying ? " data-lying" : "", escape_html(title), content);
}

std::string legend(const std::vector<LegendKey>& keys) {
  if (keys.empty()) return "";
  std::string items;
  for (const LegendKey& key : keys)
    items += fmt::format("<li><svg viewBox=\"0 0 28 14\" width=\"28\" height=\"14\" aria-hidden=\"true\">{}</svg>{}</li>", swatch(key),
                         escape_html(key.name));
  return "<ul class=\"legend\">" + items + "</ul>\n";
}

std::string level_lines(const Frame& frame, const std::vector<Level>& levels) {
  std::string html;
  for (const Level& level : levels)
    if (std::isfinite(level.y) && (!frame.y.log || level.y > 0))
      html += fmt::format("<path class=\"level\" d=\"M{} {}H{}\"/>", px(frame.left()), px(frame.y.at(level.y)), px(frame.right()));
  return html;
}

std::string level_title(const Level& level, const Axis& axis) {
  return fmt::format("{}: {}{}{}", level.name, number_text(level.y), axis.unit.empty() ? "" : " ", axis.unit);
}

std::string figure_html(const FigureParts& parts) {
  const std::string values = parts.values.empty() ? ""
                                                  : "<details class=\"values\"><summary>Values</summary><div class=\"scroll\">" +
                                                        parts.values + "</div></details>\n";
  return fmt::format(
      "<figure id=\"{}\"><h3>{}</h3>\n{}<div class=\"plot\">{}<output class=\"tip\" hidden></output></div>\n"
      "<figcaption>{}</figcaption>\n{}<script type=\"application/json\">{}</script></figure>\n",
      escape_html(parts.id), escape_html(parts.title), parts.legend, parts.drawings, markdown_html(parts.caption), values,
      escape_script_json(parts.json));
}

std::string values_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  if (rows.size() > kValuesRows) return "";
  std::string html = "<table class=\"numbers\"><thead><tr>";
  for (const std::string& cell : header) html += "<th scope=\"col\">" + escape_html(cell) + "</th>";
  html += "</tr></thead><tbody>";
  for (const auto& row : rows) {
    html += "<tr>";
    for (size_t i = 0; i < row.size(); ++i)
      html += i == 0 ? "<th scope=\"row\">" + escape_html(row[i]) + "</th>" : "<td>" + escape_html(row[i]) + "</td>";
    html += "</tr>";
  }
  return html + "</tbody></table>";
}

}  // namespace tessera::run
