#include "tessera/run/scoreboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "report_sample.h"

namespace tessera::run {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::vector<ScoreboardRow> sample_rows() {
  const fs::path folder = fs::temp_directory_path() / ("tessera-scoreboard-" + std::to_string(getpid()));
  fs::create_directories(folder);
  ScoreboardRow done{.slug = "shortgpt",
                     .title = "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect",
                     .use = "Remove the layers of a language model that change its hidden state least.",
                     .useful = "`tests/cli/shortgpt.cpp`",
                     .faithful = "logits equal to 1e-5",
                     .fast = "1.4x Transformers",
                     .report = "runs/shortgpt/report.html"};
  fill_from_document(done, sample_report(folder).document());
  fs::remove_all(folder);
  ScoreboardRow fresh{
      .slug = "yoco", .title = "You | Only\nCache <Once>", .use = kHostile, .useful = kHostile, .report = "javascript:alert(1)"};
  return {done, fresh};
}

TEST(Scoreboard, TakesClaimsFromADocument) {
  const auto rows = sample_rows();
  ASSERT_EQ(rows[0].claims.size(), 4u);
  EXPECT_EQ(rows[0].mode, "default");
  EXPECT_EQ(rows[0].seconds, 437.2);
  EXPECT_EQ(rows[0].claims[0].verdict, Verdict::held);
  EXPECT_THAT(rows[0].claims[0].ours, testing::MatchesRegex("0\\.[0-9]+ .0\\.[0-9]+, 0\\.[0-9]+."));
  EXPECT_THAT(rows[0].claims[1].ours, testing::StartsWith("reverse, n = 3: "));
  EXPECT_EQ(rows[0].claims[3].why_not_measured, "needs --full");
  ScoreboardRow row;
  EXPECT_THROW(fill_from_document(row, nlohmann::ordered_json{{"mode", 3}}), std::logic_error);
}

TEST(Scoreboard, MarkdownHasOneRowAMethodAndNoRowBreaks) {
  const std::string text = scoreboard_markdown(sample_rows());
  EXPECT_THAT(text, HasSubstr("1 of 2 methods ran to their end; 2 of 3 measured claims held, 1 not measured."));
  EXPECT_THAT(text, HasSubstr("| 2 of 3 measured claims held, 1 not measured | 1.4x Transformers |"));
  EXPECT_THAT(text, HasSubstr("| not run | not shown yet |"));
  EXPECT_THAT(text, HasSubstr("You \\| Only Cache &lt;Once>"));
  EXPECT_THAT(text, Not(HasSubstr("<script")));
  EXPECT_THAT(text, HasSubstr("not measured: needs --full"));
}

TEST(Scoreboard, AQuickRunJudgesNothingAndSaysWhatWould) {
  auto rows = sample_rows();
  rows[0].mode = "quick";
  for (auto& claim : rows[0].claims) claim.verdict = Verdict::not_measured;
  const std::string text = scoreboard_markdown(rows);
  EXPECT_THAT(text, HasSubstr("1 of 2 methods ran to their end; none of 4 claims judged yet. A quick run checks that everything works: "
                              "`tessera reproduce --all` judges the claims."));
  EXPECT_THAT(text, HasSubstr("| none of 4 claims judged yet |"));
  EXPECT_THAT(text, Not(HasSubstr("0 of 0")));
  EXPECT_THAT(scoreboard_html(rows), HasSubstr("<code>tessera reproduce --all</code> judges the claims."));
}

TEST(Scoreboard, HtmlIsSafeAndLinksOnlyPaths) {
  const std::string html = scoreboard_html(sample_rows());
  EXPECT_THAT(html, HasSubstr("href=\"runs/shortgpt/report.html\""));
  EXPECT_THAT(html, Not(HasSubstr("javascript:")));
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(html, HasSubstr("not shown yet"));
  const char* keep = std::getenv("TESSERA_KEEP_REPORT");
  if (keep) write_scoreboard(sample_rows(), fs::path(keep) / "scoreboard.md", fs::path(keep) / "scoreboard.html");
}

}  // namespace
}  // namespace tessera::run
