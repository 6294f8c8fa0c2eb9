#include "tessera/run/scoreboard.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/base/files.h"
#include "tessera/base/progress.h"
#include "tessera/run/environment.h"
#include "tessera/run/report_page.h"
#include "tessera/run/report_text.h"

namespace tessera::run {

namespace {

constexpr const char* kNotShown = "not shown yet";

// One line of Markdown table text: no cell, line or HTML can break out of it.
std::string markdown_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      cell += ' ';
    } else if (c == '<') {
      cell += "&lt;";
    } else {
      if (c == '|' || c == '\\' || c == '[' || c == ']' || c == '*' || c == '_' || c == '`') cell += '\\';
      cell += c;
    }
  }
  return cell;
}

struct ClaimCount {
  size_t all = 0, held = 0, measured = 0;
};

ClaimCount count_claims(const ScoreboardRow& row) {
  ClaimCount count{.all = row.claims.size()};
  for (const ScoreboardClaim& claim : row.claims) {
    if (claim.verdict == Verdict::held) ++count.held;
    if (claim.verdict != Verdict::not_measured) ++count.measured;
  }
  return count;
}

// What the runs decided; a quick run decides nothing.
std::string claims_text(const ClaimCount& count) {
  if (count.measured == 0) return fmt::format("none of {} claims judged yet", count.all);
  std::string text = fmt::format("{} of {} measured claims held", count.held, count.measured);
  if (count.all > count.measured) text += fmt::format(", {} not measured", count.all - count.measured);
  return text;
}

std::string proven_text(const ScoreboardRow& row) {
  if (row.mode.empty()) return "not run";
  const std::string text = claims_text(count_claims(row));
  return row.proven.empty() ? text : text + "; " + row.proven;
}

std::string or_not_shown(const std::string& evidence) { return evidence.empty() ? kNotShown : evidence; }

std::string claim_verdict(const ScoreboardClaim& claim) {
  std::string text = verdict_text(claim.verdict);
  if (!claim.why_not_measured.empty()) text += ": " + claim.why_not_measured;
  return text;
}

std::string run_text(const ScoreboardRow& row) {
  if (row.mode.empty()) return "";
  return row.seconds ? fmt::format("{} run, {}", row.mode, short_duration(*row.seconds)) : row.mode + " run";
}

// A path that stays a path: no scheme, no script.
bool linkable_path(const std::string& path) { return !path.empty() && path.find(':') == std::string::npos && path.rfind("//", 0) != 0; }

std::string evidence_html(const std::string& evidence) {
  return evidence.empty() ? fmt::format("<span class=\"soft\">{}</span>", kNotShown) : markdown_inline(evidence);
}

std::string proven_html(const ScoreboardRow& row) {
  const ClaimCount count = count_claims(row);
  Verdict verdict = Verdict::not_measured;
  if (count.measured > 0) verdict = count.held == count.measured ? Verdict::held : Verdict::not_held;
  return verdict_badge(verdict) + "<div>" + escape_html(proven_text(row)) + "</div>";
}

std::string method_html(const ScoreboardRow& row) {
  std::string html = fmt::format("<section id=\"{0}\"><h2>{0}: {1}</h2>\n<p>{2} <span class=\"soft\">{3}</span></p>\n",
                                 escape_html(row.slug), escape_html(row.title), markdown_inline(row.use), escape_html(run_text(row)));
  if (linkable_path(row.report)) html += fmt::format("<p><a href=\"{}\">Report</a></p>\n", escape_html(row.report));
  if (row.claims.empty()) return html + "<p class=\"soft\">The reproduction was not run.</p></section>\n";
  html +=
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Claim</th><th scope=\"col\">Paper</th><th scope=\"col\">Ours</th>"
      "<th scope=\"col\">Verdict</th></tr></thead><tbody>";
  for (const ScoreboardClaim& claim : row.claims)
    html += fmt::format("<tr><th scope=\"row\"><span class=\"id\">{}</span>{}</th><td>{}</td><td>{}</td><td>{}{}</td></tr>",
                        escape_html(claim.id), markdown_inline(claim.says), markdown_inline(claim.theirs),
                        escape_html(claim.ours.empty() ? "–" : claim.ours), verdict_badge(claim.verdict),
                        claim.why_not_measured.empty() ? "" : "<div class=\"soft\">" + escape_html(claim.why_not_measured) + "</div>");
  return html + "</tbody></table></div></section>\n";
}

std::string summary_line(const std::vector<ScoreboardRow>& rows) {
  size_t run = 0, quick = 0;
  ClaimCount total;
  for (const ScoreboardRow& row : rows) {
    const ClaimCount count = count_claims(row);
    if (!row.mode.empty()) ++run;
    if (row.mode == mode_text(Mode::quick)) ++quick;
    total = {.all = total.all + count.all, .held = total.held + count.held, .measured = total.measured + count.measured};
  }
  std::string text = fmt::format("{} of {} methods ran to their end; {}.", run, rows.size(), claims_text(total));
  if (quick > 0 && total.measured == 0) text += " A quick run checks that everything works: `tessera reproduce --all` judges the claims.";
  return text;
}

std::string ours_text(const nlohmann::ordered_json& claim) {
  if (!claim.at("ours").is_number()) return "";
  const double ours = claim.at("ours").get<double>();
  const std::string unit = claim.value("unit", ""), name = claim.value("of", ""), of = name.empty() ? "" : name + ": ";
  const auto& ends = claim.at("interval");
  if (!ends.is_array() || !ends.at(0).is_number() || !ends.at(1).is_number())
    return of + number_text(ours) + (unit.empty() ? "" : " " + unit);
  const Interval interval{ends.at(0).get<double>(), ends.at(1).get<double>()};
  const int decimals = decimals_for(ours, interval);
  return fmt::format("{}{} {}{}{}", of, number_text(ours, decimals), interval_text(interval, decimals), unit.empty() ? "" : " ", unit);
}

}  // namespace

void fill_from_document(ScoreboardRow& row, const nlohmann::ordered_json& document) {
  try {
    row.mode = document.at("mode").get<std::string>();
    row.seconds = document.at("seconds").get<double>();
    for (const auto& claim : document.at("claims")) {
      ScoreboardClaim line{.id = claim.at("id").get<std::string>(),
                           .says = claim.at("says").get<std::string>(),
                           .theirs = claim.at("theirs").get<std::string>(),
                           .ours = ours_text(claim)};
      const auto& holds = claim.at("holds");
      if (holds.is_boolean()) line.verdict = holds.get<bool>() ? Verdict::held : Verdict::not_held;
      if (holds.is_null()) line.why_not_measured = claim.value("why_not_measured", "");
      row.claims.push_back(std::move(line));
    }
  } catch (const nlohmann::json::exception& error) {
    throw std::logic_error(fmt::format("scoreboard: {} has no reproduction's document: {}", row.slug, error.what()));
  }
}

std::string scoreboard_markdown(const std::vector<ScoreboardRow>& rows) {
  std::string text = "# Scoreboard\n\n" + summary_line(rows) +
                     " Written by `tessera reproduce --all`; what the columns mean is in the guide.\n\n"
                     "| method | useful | faithful | proven | fast |\n| --- | --- | --- | --- | --- |\n";
  for (const ScoreboardRow& row : rows)
    text += fmt::format("| {} | {} | {} | {} | {} |\n", markdown_cell(row.slug), markdown_cell(or_not_shown(row.useful)),
                        markdown_cell(or_not_shown(row.faithful)), markdown_cell(proven_text(row)), markdown_cell(or_not_shown(row.fast)));
  for (const ScoreboardRow& row : rows) {
    text += fmt::format("\n## {}\n\n{}\n\n", markdown_cell(row.slug), markdown_cell(row.title));
    if (!row.use.empty()) text += markdown_cell(row.use) + "\n\n";
    if (row.claims.empty()) {
      text += "The reproduction was not run.\n";
      continue;
    }
    text += run_text(row) + "\n\n| claim | paper | ours | verdict |\n| --- | --- | --- | --- |\n";
    for (const ScoreboardClaim& claim : row.claims)
      text += fmt::format("| {}: {} | {} | {} | {} |\n", markdown_cell(claim.id), markdown_cell(claim.says), markdown_cell(claim.theirs),
                          claim.ours.empty() ? "–" : markdown_cell(claim.ours), markdown_cell(claim_verdict(claim)));
  }
  return text;
}

std::string scoreboard_html(const std::vector<ScoreboardRow>& rows) {
  std::string body = fmt::format(
      "<header><p class=\"eyebrow\">Tessera</p>\n<h1>Scoreboard</h1>\n<p class=\"what\">{}</p></header>\n<div class=\"scroll\"><table "
      "class=\"scoreboard\">"
      "<thead><tr><th scope=\"col\">Method</th><th scope=\"col\">Useful</th><th scope=\"col\">Faithful</th><th scope=\"col\">Proven</th>"
      "<th scope=\"col\">Fast</th></tr></thead><tbody>",
      markdown_inline(summary_line(rows)));
  for (const ScoreboardRow& row : rows)
    body += fmt::format("<tr><th scope=\"row\"><a href=\"#{0}\">{0}</a></th><td>{1}</td><td>{2}</td><td>{3}</td><td>{4}</td></tr>\n",
                        escape_html(row.slug), evidence_html(row.useful), evidence_html(row.faithful), proven_html(row),
                        evidence_html(row.fast));
  body += "</tbody></table></div>\n";
  for (const ScoreboardRow& row : rows) body += method_html(row);
  const Environment machine = environment();
  body += fmt::format("<footer>Written by Tessera {}, commit {}, on {}.</footer>\n", escape_html(machine.version),
                      escape_html(machine.commit), escape_html(machine.cpu));
  return page_html("Scoreboard · Tessera", body);
}

void write_scoreboard(const std::vector<ScoreboardRow>& rows, const std::filesystem::path& markdown, const std::filesystem::path& html) {
  write_file(markdown, scoreboard_markdown(rows));
  write_file(html, scoreboard_html(rows));
}

}  // namespace tessera::run
