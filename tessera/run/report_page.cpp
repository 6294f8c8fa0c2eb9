#include "tessera/run/report_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

constexpr size_t kConditionsInTheTable = 4;  // a claim with more shows its deciding one there and all in the details

std::string unit_html(const std::string& unit) { return unit.empty() ? "" : " <span class=\"unit\">" + escape_html(unit) + "</span>"; }

std::string condition_value_html(const JudgedCondition& judged, const std::string& unit) {
  if (judged.values.empty()) return value_html(judged.ours, judged.interval, unit);
  const auto [low, high] = std::minmax_element(judged.values.begin(), judged.values.end());
  const int decimals = decimals_for(*low, {*low, *high});
  std::string list;
  for (const double value : judged.values) list += (list.empty() ? "" : ", ") + number_text(value, decimals);
  return list + unit_html(unit);
}

std::string sign_of(bool holds) { return holds ? "<span title=\"met\">✓</span>" : "<span title=\"not met\">✕</span>"; }

// What is shown for conditions of one quantity once: a point and an interval condition share their number.
std::vector<const JudgedCondition*> distinct_quantities(const Judgement& judgement) {
  std::vector<const JudgedCondition*> distinct;
  for (const JudgedCondition& judged : judgement.conditions) {
    const bool seen = std::any_of(distinct.begin(), distinct.end(), [&](const JudgedCondition* other) {
      return other->condition.of == judged.condition.of && other->values.empty() == judged.values.empty();
    });
    if (!seen) distinct.push_back(&judged);
  }
  return distinct;
}

std::string ours_html(const Judgement& judgement) {
  auto shown = distinct_quantities(judgement);
  if (shown.empty()) return "<span class=\"soft\">–</span>";
  const size_t all = shown.size();
  if (all > kConditionsInTheTable) shown = {deciding_condition(judgement)};
  std::string html;
  for (const JudgedCondition* judged : shown) {
    html += "<div>";
    if (!judged->condition.of.empty()) html += "<span class=\"of\">" + escape_html(judged->condition.of) + "</span>";
    html += "<span class=\"value\">" + condition_value_html(*judged, judgement.claim.unit) + "</span></div>";
  }
  if (all > shown.size()) html += fmt::format("<div class=\"soft\">and {} more quantities below</div>", all - shown.size());
  return html;
}

std::string conditions_html(const Judgement& judgement) {
  if (judgement.conditions.empty()) return "";
  std::string html =
      "<div class=\"scroll\"><table class=\"conditions\"><thead><tr><th scope=\"col\">Quantity</th><th scope=\"col\">Statistic</th>"
      "<th scope=\"col\">Ours</th><th scope=\"col\">Must be</th><th scope=\"col\">Met</th></tr></thead><tbody>";
  for (const JudgedCondition& judged : judgement.conditions)
    html += fmt::format("<tr><th scope=\"row\">{}</th><td>{}, n = {}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                        judged.condition.of.empty() ? "the measure" : escape_html(judged.condition.of), escape_html(judged.statistic),
                        number_text(static_cast<double>(judged.items)), condition_value_html(judged, judgement.claim.unit),
                        escape_html(rule_text(judged.condition, judgement.claim.unit)), sign_of(judged.holds));
  return html + "</tbody></table></div>";
}

std::string detail_html(const Judgement& judgement) {
  const Claim& claim = judgement.claim;
  std::string html =
      fmt::format("<details><summary>How {} is measured</summary><p>{}</p>", escape_html(claim.id), markdown_inline(claim.measure));
  html += fmt::format("<p><span class=\"soft\">Rule, fixed before measuring:</span> {}.</p>", escape_html(rule_text(claim)));
  html += conditions_html(judgement);
  if (!claim.cannot_show.empty())
    html += fmt::format("<p><span class=\"soft\">Cannot show:</span> {}</p>", markdown_inline(claim.cannot_show));
  return html + "</details>";
}

// The rule as the table shows it: whole when it is short, else how many conditions there are.
std::string short_rule(const Judgement& judgement) {
  const Claim& claim = judgement.claim;
  std::vector<std::string> distinct;
  for (const Condition& condition : claim.holds_if) {
    const std::string rule = rule_text(condition, claim.unit);
    if (std::find(distinct.begin(), distinct.end(), rule) == distinct.end()) distinct.push_back(rule);
  }
  const std::string joined = fmt::format("{}", fmt::join(distinct, "; "));
  if (claim.holds_if.size() <= kConditionsInTheTable || distinct.size() == 1)
    return claim.holds_if.size() > 1 && distinct.size() == 1 ? "each: " + joined : joined;
  return fmt::format("all of {} conditions: {}", claim.holds_if.size(), joined);
}

std::string claim_html(const Judgement& judgement) {
  const Claim& claim = judgement.claim;
  std::string verdict = verdict_badge(judgement.verdict);
  if (!judgement.why_not_measured.empty()) verdict += "<div class=\"soft\">" + escape_html(judgement.why_not_measured) + "</div>";
  return fmt::format(
      "<tbody role=\"rowgroup\"><tr role=\"row\"><th scope=\"row\" role=\"rowheader\"><span class=\"id\">{}</span>{}</th>"
      "<td role=\"cell\" data-label=\"Paper\">{}</td><td role=\"cell\" data-label=\"Ours\">{}</td>"
      "<td role=\"cell\" data-label=\"Holds if\">{}</td><td role=\"cell\" data-label=\"Verdict\">{}</td></tr>"
      "<tr class=\"detail\" role=\"row\"><td role=\"cell\" colspan=\"5\">{}</td></tr></tbody>\n",
      escape_html(claim.id), markdown_inline(claim.says), markdown_inline(claim.theirs), ours_html(judgement),
      escape_html(short_rule(judgement)), verdict, detail_html(judgement));
}

std::vector<const BaselineValue*> first_of_each_quantity(const std::vector<Baseline>& rows) {
  std::vector<const BaselineValue*> columns;
  for (const Baseline& row : rows)
    for (const BaselineValue& value : row.values)
      if (std::none_of(columns.begin(), columns.end(), [&](const BaselineValue* column) { return column->of == value.of; }))
        columns.push_back(&value);
  return columns;
}

bool numeric_cell(const std::string& cell) {
  return cell.empty() || cell.find_first_not_of("0123456789.,+-−–%×eE[] ⁰¹²³⁴⁵⁶⁷⁸⁹⁻∞") == std::string::npos;
}

}  // namespace

std::string page_html(const std::string& title, std::string_view body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
      "img-src data:; media-src data:\"><title>{}</title><link rel=\"icon\" "
      "href=\"data:,\"><style>{}</style></head>\n<body><main>\n{}</main>\n"
      "<script type=\"module\">{}</script></body></html>\n",
      escape_html(title), kPageStyle, body, kPageScript);
}

std::string verdict_badge(Verdict verdict) {
  const char* sign = verdict == Verdict::held ? "✓" : verdict == Verdict::not_held ? "✕" : "–";
  const char* css = verdict == Verdict::held ? "held" : verdict == Verdict::not_held ? "not-held" : "not-measured";
  return fmt::format("<span class=\"badge {}\"><span aria-hidden=\"true\">{}</span> {}</span>", css, sign, verdict_text(verdict));
}

std::string value_html(double value, const std::optional<Interval>& interval, const std::string& unit) {
  if (!interval) return number_text(value) + unit_html(unit);
  const int decimals = decimals_for(value, *interval);
  return fmt::format("{}{} <span class=\"iv\">{}</span>", number_text(value, decimals), unit_html(unit),
                     interval_text(*interval, decimals));
}

std::string claims_html(const std::vector<Judgement>& judgements) {
  if (judgements.empty()) return "";
  std::string html =
      "<table class=\"claims\" role=\"table\"><colgroup><col class=\"c1\"><col class=\"c2\"><col class=\"c3\"><col class=\"c4\"><col "
      "class=\"c5\">"
      "</colgroup><thead role=\"rowgroup\"><tr role=\"row\"><th scope=\"col\" role=\"columnheader\">Claim</th>"
      "<th scope=\"col\" role=\"columnheader\">Paper</th><th scope=\"col\" role=\"columnheader\">Ours [interval]</th>"
      "<th scope=\"col\" role=\"columnheader\">Holds if</th><th scope=\"col\" role=\"columnheader\">Verdict</th></tr></thead>\n";
  for (const Judgement& judgement : judgements) html += claim_html(judgement);
  return html + "</table>\n";
}

std::string baselines_html(const std::vector<Baseline>& rows) {
  const auto columns = first_of_each_quantity(rows);
  const bool notes = std::any_of(rows.begin(), rows.end(), [](const Baseline& row) { return !row.note.empty(); });
  std::string html = "<div class=\"scroll\"><table class=\"baselines\"><thead><tr><th scope=\"col\">Method</th>";
  for (const BaselineValue* column : columns)
    html += fmt::format("<th scope=\"col\" class=\"num\">{}{}</th>", escape_html(column->of),
                        column->unit.empty() ? "" : " [" + escape_html(column->unit) + "]");
  html += notes ? "<th scope=\"col\">Note</th></tr></thead><tbody>" : "</tr></thead><tbody>";
  for (const Baseline& row : rows) {
    html += fmt::format("<tr{}><th scope=\"row\">{}</th>", row.ours ? " class=\"ours\"" : "", escape_html(row.name));
    for (const BaselineValue* column : columns) {
      const auto found =
          std::find_if(row.values.begin(), row.values.end(), [&](const BaselineValue& value) { return value.of == column->of; });
      html +=
          "<td class=\"num\">" + (found == row.values.end() ? std::string("–") : value_html(found->value, found->interval, "")) + "</td>";
    }
    html += notes ? "<td class=\"note\">" + escape_html(row.note) + "</td></tr>" : "</tr>";
  }
  return html + "</tbody></table></div>\n";
}

std::string settings_html(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string html = "<table class=\"settings\"><tbody>";
  for (const auto& [name, value] : rows)
    html += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape_html(name), escape_html(value));
  return html + "</tbody></table>\n";
}

std::string table_html(const Table& table, size_t limit) {
  std::vector<bool> numeric(table.columns.size(), true);
  for (const auto& row : table.rows)
    for (size_t i = 0; i < row.size(); ++i) numeric[i] = numeric[i] && numeric_cell(row[i]);
  const auto css = [&](size_t i) { return numeric[i] ? " class=\"num\"" : ""; };
  std::string html = table.title.empty() ? "" : "<h3>" + escape_html(table.title) + "</h3>\n";
  html += "<div class=\"scroll\"><table><thead><tr>";
  for (size_t i = 0; i < table.columns.size(); ++i)
    html += fmt::format("<th scope=\"col\"{}>{}</th>", css(i), escape_html(table.columns[i]));
  html += "</tr></thead><tbody>";
  for (size_t r = 0; r < std::min(limit, table.rows.size()); ++r) {
    html += "<tr>";
    for (size_t i = 0; i < table.rows[r].size(); ++i) {
      const std::string cell = escape_html(table.rows[r][i]);
      html += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>", css(i), cell) : fmt::format("<td{}>{}</td>", css(i), cell);
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div>\n";
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? digits[(group >> (18 - 6 * k)) & 63] : '=';
  }
  return text;
}

}  // namespace tessera::run
