#include "tessera/run/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/base/files.h"
#include "tessera/base/progress.h"
#include "tessera/run/environment.h"
#include "tessera/run/report_page.h"
#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

constexpr size_t kTableRows = 100, kImageBytes = 120'000, kRecipeBytes = 20'000;
constexpr const char* kNotReached = "this run did not come to it";
constexpr const char* kQuick = "--quick checks that everything works and judges nothing";

double steady_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts)};
}

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string quoted_cell = "\"";
  for (const char c : cell) quoted_cell += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted_cell + "\"";
}

std::string csv_text(const Table& table) {
  std::string text;
  const auto add_row = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : ",") + csv_cell(row[i]);
    text += "\r\n";
  };
  add_row(table.columns);
  for (const auto& row : table.rows) add_row(row);
  return text;
}

nlohmann::ordered_json finite(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

nlohmann::ordered_json interval_json(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return {finite(interval->low), finite(interval->high)};
}

nlohmann::ordered_json holds_json(Verdict verdict) {
  if (verdict == Verdict::not_measured) return nullptr;
  return verdict == Verdict::held;
}

nlohmann::ordered_json claim_json(const Judgement& judgement) {
  const Claim& claim = judgement.claim;
  const JudgedCondition* deciding = deciding_condition(judgement);
  nlohmann::ordered_json json = {{"id", claim.id},
                                 {"says", claim.says},
                                 {"theirs", claim.theirs},
                                 {"ours", deciding ? finite(deciding->ours) : nullptr},
                                 {"interval", deciding ? interval_json(deciding->interval) : nullptr},
                                 {"rule", rule_text(claim)},
                                 {"holds", holds_json(judgement.verdict)},
                                 {"verdict", verdict_text(judgement.verdict)},
                                 {"measure", claim.measure},
                                 {"unit", claim.unit},
                                 {"of", deciding ? deciding->condition.of : ""},
                                 {"cannot_show", claim.cannot_show},
                                 {"why_not_measured", judgement.why_not_measured},
                                 {"conditions", nlohmann::ordered_json::array()}};
  for (const JudgedCondition& judged : judgement.conditions) {
    nlohmann::ordered_json condition = {
        {"of", judged.condition.of},     {"ours", finite(judged.ours)}, {"interval", interval_json(judged.interval)},
        {"statistic", judged.statistic}, {"items", judged.items},       {"rule", rule_text(judged.condition, claim.unit)},
        {"holds", judged.holds}};
    for (const double value : judged.values) condition["values"].push_back(finite(value));
    json["conditions"].push_back(std::move(condition));
  }
  return json;
}

nlohmann::ordered_json baseline_json(const Baseline& row) {
  nlohmann::ordered_json json = {{"name", row.name}, {"ours", row.ours}, {"note", row.note}, {"values", nlohmann::ordered_json::array()}};
  for (const BaselineValue& value : row.values)
    json["values"].push_back(
        {{"of", value.of}, {"value", finite(value.value)}, {"interval", interval_json(value.interval)}, {"unit", value.unit}});
  return json;
}

// Each quantity of a judgement once, with its interval's ends and its single values.
MetricValues values_of(const Judgement& judgement) {
  MetricValues values;
  std::vector<std::string> known;
  for (const JudgedCondition& judged : judgement.conditions) {
    const std::string name = judged.condition.of.empty() ? judged.statistic : judged.condition.of;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    known.push_back(name);
    values.emplace_back(name, judged.ours);
    if (judged.interval) {
      values.emplace_back(name + ", low", judged.interval->low);
      values.emplace_back(name + ", high", judged.interval->high);
    }
    for (size_t i = 0; i < judged.values.size(); ++i) values.emplace_back(fmt::format("{}, {}", name, i + 1), judged.values[i]);
  }
  return values;
}

// "arXiv:2403.03853v3" as a link; any other text as it stands.
std::string paper_html(const std::string& paper) {
  constexpr std::string_view prefix = "arXiv:";
  const std::string number = paper.rfind(prefix, 0) == 0 ? paper.substr(prefix.size()) : "";
  if (number.empty() || number.find_first_not_of("0123456789.v") != std::string::npos) return escape_html(paper);
  return fmt::format("<a href=\"https://arxiv.org/abs/{}\" rel=\"noreferrer\">{}</a>", number, escape_html(paper));
}

std::string verdict_line(const std::vector<Judgement>& judgements) {
  size_t held = 0, not_held = 0, unmeasured = 0;
  std::vector<std::string> refuted;
  for (const Judgement& judgement : judgements) {
    if (judgement.verdict == Verdict::held) ++held;
    if (judgement.verdict == Verdict::not_measured) ++unmeasured;
    if (judgement.verdict == Verdict::not_held) {
      ++not_held;
      refuted.push_back(judgement.claim.id);
    }
  }
  const size_t measured = held + not_held;
  const std::string rest = unmeasured == 0 || measured == 0 ? "" : fmt::format("{} not measured in this run.", unmeasured);
  const char* css = not_held > 0 ? "not-held" : measured > 0 ? "held" : "not-measured";
  const char* sign = not_held > 0 ? "✕" : measured > 0 ? "✓" : "–";
  std::string line;
  if (measured == 0)
    line = judgements.empty() ? "This run has no claims." : fmt::format("No claim was judged: {}.", judgements.front().why_not_measured);
  else if (not_held == 0)
    line = measured == 1 ? "The measured claim holds." : fmt::format("All {} measured claims hold.", measured);
  else
    line =
        fmt::format("{} of {} measured claims {}; not held: {}.", held, measured, held == 1 ? "holds" : "hold", fmt::join(refuted, ", "));
  return fmt::format(
      "<p class=\"verdict {}\"><span class=\"sign\" aria-hidden=\"true\">{}</span><span><strong>{}</strong> <span "
      "class=\"rest\">{}</span></span></p>\n",
      css, sign, escape_html(line), rest);
}

}  // namespace

std::string mode_text(Mode mode) { return mode == Mode::quick ? "quick" : mode == Mode::full ? "full" : "default"; }

Report::Report(std::filesystem::path folder, ReportHead head)
    : folder_(std::move(folder)), head_(std::move(head)), started_(steady_seconds()) {}

void Report::declare(const std::vector<Claim>& claims) {
  for (const Claim& claim : claims) {
    for (const Judgement& known : judgements_)
      if (known.claim.id == claim.id) throw std::logic_error("claim \"" + claim.id + "\" is declared twice");
    judgements_.push_back(run::not_measured(claim, kNotReached));
  }
}

const Judgement& Report::judge(const Claim& claim, const Sample& sample) { return record(run::judge(claim, sample)); }
const Judgement& Report::judge(const Claim& claim, const Samples& samples) { return record(run::judge(claim, samples)); }
const Judgement& Report::not_measured(const Claim& claim, std::string why) { return record(run::not_measured(claim, std::move(why))); }

const Judgement& Report::record(Judgement judgement) {
  if (head_.mode == Mode::quick && judgement.verdict != Verdict::not_measured) {
    judgement.verdict = Verdict::not_measured;
    judgement.why_not_measured = kQuick;
  }
  if (!judgement.conditions.empty()) measured(judgement.claim.id, values_of(judgement));
  for (Judgement& known : judgements_) {
    if (known.claim.id != judgement.claim.id) continue;
    if (known.why_not_measured != kNotReached) throw std::logic_error("claim \"" + known.claim.id + "\" is judged twice");
    return known = std::move(judgement);
  }
  return judgements_.emplace_back(std::move(judgement));
}

void Report::baseline(Baseline row) {
  MetricValues values;
  for (const BaselineValue& value : row.values) values.emplace_back(value.of, value.value);
  measured(row.name, values);
  baselines_.push_back(std::move(row));
}

void Report::measured(const std::string& arm, const MetricValues& values) const {
  if (measured_) measured_(arm, values);
}

void Report::heading(std::string_view title) { sections_.push_back("<h2>" + escape_html(title) + "</h2>\n"); }
void Report::text(std::string_view markdown) { sections_.push_back(markdown_html(markdown)); }
void Report::plot(const LinePlot& plot) { sections_.push_back(figure(plot, fmt::format("plot-{}", ++figures_))); }
void Report::plot(const BarPlot& plot) { sections_.push_back(figure(plot, fmt::format("plot-{}", ++figures_))); }
void Report::plot(const ScatterPlot& plot) { sections_.push_back(figure(plot, fmt::format("plot-{}", ++figures_))); }

void Report::table(const Table& table) {
  for (const auto& row : table.rows)
    if (row.size() != table.columns.size()) throw std::logic_error("table \"" + table.title + "\": a row has another number of cells");
  std::string html = table_html(table, kTableRows) + markdown_html(table.caption);
  if (table.rows.size() > kTableRows) {
    const std::string name = fmt::format("table-{}.csv", ++figures_);
    std::filesystem::create_directories(folder_ / "artifacts");
    write_file(folder_ / "artifacts" / name, csv_text(table));
    html += fmt::format("<p class=\"soft\">The first {} of {} rows; all of them are in <code>artifacts/{}</code>.</p>\n", kTableRows,
                        table.rows.size(), name);
  }
  sections_.push_back(std::move(html));
}

void Report::image(const Image& image) {
  const std::string head = image.title.empty() ? "" : "<h3>" + escape_html(image.title) + "</h3>";
  if (image_bytes_ + image.png.size() <= kImageBytes) {
    image_bytes_ += image.png.size();
    sections_.push_back(
        fmt::format("<figure class=\"image\">{}<img alt=\"{}\" src=\"data:image/png;base64,{}\"><figcaption>{}</figcaption></figure>\n",
                    head, escape_html(image.alt), base64(image.png), markdown_html(image.caption)));
    return;
  }
  const std::string name = fmt::format("image-{}.png", ++figures_);
  std::filesystem::create_directories(folder_ / "artifacts");
  write_file(folder_ / "artifacts" / name, image.png);
  sections_.push_back(fmt::format(
      "<figure class=\"image\">{}<p>{}: in <code>artifacts/{}</code>, as this page stays small.</p><figcaption>{}</figcaption></figure>\n",
      head, escape_html(image.alt), name, markdown_html(image.caption)));
}

void Report::cannot_show(std::string_view markdown) { limits_.push_back(markdown_html(markdown)); }
void Report::setting(std::string name, std::string value) { settings_.emplace_back(std::move(name), std::move(value)); }
void Report::recipe(std::string toml) { recipe_ = std::move(toml); }
void Report::seconds(double seconds) { seconds_ = seconds; }

bool Report::refuted() const {
  return std::any_of(judgements_.begin(), judgements_.end(), [](const Judgement& j) { return j.verdict == Verdict::not_held; });
}

bool Report::holds() const {
  return !refuted() && std::any_of(judgements_.begin(), judgements_.end(), [](const Judgement& j) { return j.verdict == Verdict::held; });
}

std::filesystem::path Report::write() const {
  write_file(folder_ / "report.html", html());
  return folder_ / "report.html";
}

nlohmann::ordered_json Report::document() const {
  nlohmann::ordered_json json = {{"method", head_.method}, {"mode", mode_text(head_.mode)}};
  json["seconds"] = seconds_.value_or(steady_seconds() - started_);
  json["holds"] = nullptr;
  if (holds() || refuted()) json["holds"] = holds();
  json["report"] = (folder_ / "report.html").string();
  json["claims"] = nlohmann::ordered_json::array();
  for (const Judgement& judgement : judgements_) json["claims"].push_back(claim_json(judgement));
  json["baselines"] = nlohmann::ordered_json::array();
  for (const Baseline& row : baselines_) json["baselines"].push_back(baseline_json(row));
  return json;
}

std::string Report::html() const {
  std::string body =
      fmt::format("<header><p class=\"eyebrow\">{}{}{} · {} run</p>\n<h1>{}</h1>\n<div class=\"what\">{}</div>\n{}</header>\n",
                  escape_html(head_.method), head_.paper.empty() ? "" : " · ", paper_html(head_.paper), mode_text(head_.mode),
                  escape_html(head_.title), markdown_html(head_.what), verdict_line(judgements_));
  if (!judgements_.empty()) body += "<section><h2>Claims</h2>\n" + claims_html(judgements_) + "</section>\n";
  if (!baselines_.empty()) body += "<section><h2>Baselines</h2>\n" + baselines_html(baselines_) + "</section>\n";
  for (const std::string& section : sections_) body += section;

  std::string limits;
  for (const Judgement& judgement : judgements_)
    if (!judgement.claim.cannot_show.empty())
      limits +=
          fmt::format("<li><strong>{}</strong> {}</li>", escape_html(judgement.claim.id), markdown_inline(judgement.claim.cannot_show));
  if (!limits.empty()) limits = "<ul>" + limits + "</ul>\n";
  for (const std::string& limit : limits_) limits += limit;
  if (!limits.empty()) body += "<section><h2>What the small scale cannot show</h2>\n" + limits + "</section>\n";

  const Environment machine = environment();
  auto rows = settings_;
  rows.emplace_back("Time", short_duration(seconds_.value_or(steady_seconds() - started_)));
  for (auto& row : environment_rows(machine)) rows.push_back(std::move(row));
  body += "<section><h2>How it was run</h2>\n" + settings_html(rows);
  if (!recipe_.empty()) {
    const bool whole = recipe_.size() <= kRecipeBytes;
    body += fmt::format("<details><summary>Recipe</summary><pre>{}{}</pre></details>\n",
                        escape_html(std::string_view(recipe_).substr(0, kRecipeBytes)), whole ? "" : "\n# the rest is in recipe.toml");
  }
  body += fmt::format(
      "</section>\n<footer>Written by Tessera {}, commit {}, {}. Intervals are percentile bootstrap intervals unless a plot says "
      "otherwise.</footer>\n",
      escape_html(machine.version), escape_html(machine.commit), utc_time());
  return page_html(fmt::format("{} · Tessera", head_.title), body);
}

}  // namespace tessera::run
