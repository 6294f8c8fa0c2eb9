#include "tessera/run/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "report_sample.h"
#include "tessera/run/report_page.h"
#include "tessera/run/report_text.h"

namespace tessera::run {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class ReportTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* keep = std::getenv("TESSERA_KEEP_REPORT");  // tests/web/report.py opens the sample
    kept_ = keep != nullptr;
    folder_ = kept_ ? fs::path(keep) : fs::temp_directory_path() / ("tessera-report-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override {
    if (!kept_) fs::remove_all(folder_);
  }
  Report report(Mode mode = Mode::normal) const { return {folder_, {.method = "m", .title = "T", .mode = mode}}; }
  static Claim claim(const std::string& id) {
    return {.id = id, .says = "s", .theirs = "t", .measure = "m", .unit = "nats", .holds_if = {{.above = 0.0}}};
  }

  bool kept_ = false;
  fs::path folder_;
};

TEST_F(ReportTest, SampleIsOneSmallFileWithoutRequests) {
  const Report sample = sample_report(folder_);
  std::ifstream file(folder_ / "report.html", std::ios::binary);
  const std::string html{std::istreambuf_iterator<char>(file), {}};
  EXPECT_LT(html.size(), 300'000u);
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  for (const char* request : {" src=\"http", "url(", "@import", "<iframe", "fetch("}) EXPECT_THAT(html, Not(HasSubstr(request)));
  for (const char* injected : {"<script>document", "<img src=x", "href=\"javascript", "onerror=alert(1)>\""})
    EXPECT_THAT(html, Not(HasSubstr(injected)));
  EXPECT_THAT(html, HasSubstr("&lt;/script&gt;&lt;script&gt;document.title=&#39;owned&#39;"));
  EXPECT_THAT(html, Not(HasSubstr("\x01")));
}

TEST_F(ReportTest, DocumentHasTheFieldsOfTheInterface) {
  const nlohmann::ordered_json document = sample_report(folder_).document();
  EXPECT_EQ(document["method"], "shortgpt");
  EXPECT_EQ(document["mode"], "default");
  EXPECT_EQ(document["seconds"], 437.2);
  EXPECT_EQ(document["holds"], false);
  EXPECT_EQ(document["report"], (folder_ / "report.html").string());
  ASSERT_EQ(document["claims"].size(), 4u);
  for (const auto& claim : document["claims"])
    for (const char* field : {"id", "says", "theirs", "ours", "interval", "rule", "holds"}) EXPECT_TRUE(claim.contains(field)) << field;
  EXPECT_EQ(document["claims"][0]["holds"], true);
  EXPECT_EQ(document["claims"][0]["interval"].size(), 2u);
  EXPECT_EQ(document["claims"][2]["holds"], false);
  EXPECT_TRUE(document["claims"][3]["holds"].is_null());
  EXPECT_TRUE(document["claims"][3]["ours"].is_null());
  EXPECT_EQ(document["claims"][3]["why_not_measured"], "needs --full");
  ASSERT_EQ(document["baselines"].size(), 5u);
  EXPECT_EQ(document["baselines"][0]["values"][0]["of"], "log PPL, n = 3");
}

TEST_F(ReportTest, HandsOverEveryMeasuredArm) {
  std::vector<std::pair<std::string, MetricValues>> arms;
  Report it = report();
  it.measured("dropped", {{"before there is a sink", 1}});
  it.send_measured_to([&](const std::string& arm, const MetricValues& values) { arms.emplace_back(arm, values); });
  it.baseline({.name = "random", .values = {{.of = "log PPL", .value = 4.5}, {.of = "size", .value = 2}}});
  it.measured("layer 3", {{"BI", 0.25}});
  const Claim two = {.id = "B",
                     .says = "s",
                     .theirs = "t",
                     .measure = "m",
                     .holds_if = {{.at_least = 0.5}, {.interval = PairedBootstrap{}, .above = 0.2}}};
  it.judge(two, std::vector<double>{1, 2, 3});
  const Claim seeds = {.id = "C", .says = "s", .theirs = "t", .measure = "m", .holds_if = {{.every = "seed", .at_least = 0.5}}};
  it.judge(seeds, std::vector<double>{1, 4});
  it.not_measured(claim("D"), "needs --full");
  ASSERT_EQ(arms.size(), 4u) << "a claim that was not measured is no arm";
  EXPECT_EQ(arms[0], (std::pair{std::string("random"), MetricValues{{"log PPL", 4.5}, {"size", 2}}}));
  EXPECT_EQ(arms[1], (std::pair{std::string("layer 3"), MetricValues{{"BI", 0.25}}}));
  EXPECT_EQ(arms[2].first, "B");
  ASSERT_EQ(arms[2].second.size(), 3u) << "a quantity that two conditions share is named once";
  EXPECT_EQ(arms[2].second[0], (std::pair{std::string("mean"), 2.0}));
  EXPECT_EQ(arms[2].second[1].first, "mean, low");
  EXPECT_EQ(arms[3].second, (MetricValues{{"mean", 2.5}, {"mean, 1", 1}, {"mean, 2", 4}}));
}

TEST_F(ReportTest, HoldsOnlyWhenSomethingWasMeasuredAndAllOfItHolds) {
  Report held = report();
  held.judge(claim("A"), std::vector<double>{1, 2});
  held.not_measured(claim("B"), "needs --full");
  EXPECT_TRUE(held.holds());
  EXPECT_FALSE(held.refuted());
  Report refuted = report();
  refuted.judge(claim("A"), std::vector<double>{1, 2});
  refuted.judge(claim("B"), std::vector<double>{-1, -2});
  EXPECT_FALSE(refuted.holds());
  EXPECT_TRUE(refuted.refuted());
  EXPECT_THAT(refuted.html(), HasSubstr("1 of 2 measured claims holds; not held: B."));
  Report unmeasured = report();
  unmeasured.not_measured(claim("A"), "needs --full");
  EXPECT_FALSE(unmeasured.holds());
  EXPECT_FALSE(unmeasured.refuted());
  EXPECT_TRUE(unmeasured.document()["holds"].is_null());
}

TEST_F(ReportTest, AQuickRunJudgesNothingButShowsItsNumbers) {
  Report quick = report(Mode::quick);
  const Judgement& judged = quick.judge(claim("A"), std::vector<double>{-1, -2});
  EXPECT_EQ(judged.verdict, Verdict::not_measured);
  EXPECT_FALSE(quick.holds());
  EXPECT_FALSE(quick.refuted());
  EXPECT_EQ(quick.document()["claims"][0]["ours"], -1.5);
  EXPECT_THAT(quick.html(), HasSubstr("No claim was judged: --quick"));
}

TEST_F(ReportTest, DeclaredClaimsKeepTheirOrderAndNoneIsLost) {
  Report three = report();
  three.declare({claim("A"), claim("B"), claim("C")});
  three.judge(claim("C"), std::vector<double>{1, 2});
  three.judge(claim("A"), std::vector<double>{1, 2});
  const auto claims = three.document()["claims"];
  EXPECT_EQ(claims[0]["id"], "A");
  EXPECT_EQ(claims[1]["verdict"], "not measured");
  EXPECT_EQ(claims[1]["why_not_measured"], "this run did not come to it");
  EXPECT_EQ(claims[2]["holds"], true);
  EXPECT_THROW(three.judge(claim("A"), std::vector<double>{-1, -2}), std::logic_error) << "no second try";
  EXPECT_THROW(three.declare({claim("A")}), std::logic_error);
}

TEST_F(ReportTest, LongTablesAndLargeImagesGoToArtifacts) {
  Report big = report();
  Table table{.title = "t", .columns = {"a", "b,c"}, .rows = {}};
  for (int i = 0; i < 150; ++i) table.rows.push_back({std::to_string(i), "x\"y"});
  big.table(table);
  big.image({.title = "i", .png = std::string(200'000, 'p'), .alt = "a large picture"});
  big.image({.title = "j", .png = "\x89PNG", .alt = "a small one"});
  const std::string html = big.html();
  EXPECT_LT(html.size(), 60'000u);
  EXPECT_THAT(html, HasSubstr("The first 100 of 150 rows"));
  EXPECT_THAT(html, HasSubstr("data:image/png;base64,iVBORw=="));
  std::ifstream csv(folder_ / "artifacts" / "table-1.csv", std::ios::binary);
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "a,\"b,c\"\r");
  std::getline(csv, line);
  EXPECT_EQ(line, "0,\"x\"\"y\"\r");
  EXPECT_EQ(fs::file_size(folder_ / "artifacts" / "image-2.png"), 200'000u);
  table.rows.push_back({"one cell"});
  EXPECT_THROW(big.table(table), std::logic_error);
}

TEST(ReportText, EscapesEverythingThatCouldLeaveItsPlace) {
  EXPECT_EQ(escape_html("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(escape_html("é 漢 🙂\n\t"), "é 漢 🙂\n\t");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(escape_html(std::string_view("\x00\x1b\x7f", 3)), bad + bad + bad);
  EXPECT_EQ(escape_html("\xff"), bad);
  EXPECT_EQ(escape_html("\xc0\xaf"), bad + bad) << "an overlong slash";
  EXPECT_EQ(escape_html("\xed\xa0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(escape_html("\xe6\xbc"), bad + bad) << "cut short";
  EXPECT_EQ(escape_script_json(R"({"a":"</script>&"})"), R"({"a":"\u003c/script\u003e\u0026"})");
}

TEST(ReportText, MarkdownIsSmallAndSafe) {
  EXPECT_EQ(markdown_html("one\ntwo\n\nthree"), "<p>one\ntwo</p>\n<p>three</p>\n");
  EXPECT_EQ(markdown_html("see:\n- a\n- **b**"), "<p>see:</p>\n<ul><li>a</li><li><strong>b</strong></li></ul>\n");
  EXPECT_EQ(markdown_inline("*a* `<b>` 2 * 3 * 4"), "<em>a</em> <code>&lt;b&gt;</code> 2 * 3 * 4");
  EXPECT_EQ(markdown_inline("[x](https://a.b/c?d=1&e)"), "<a href=\"https://a.b/c?d=1&amp;e\" rel=\"noreferrer\">x</a>");
  EXPECT_EQ(markdown_inline("[x](javascript:alert(1))"), "[x](javascript:alert(1))");
  EXPECT_EQ(markdown_inline("[x](https://a\"onclick=1)"), "[x](https://a&quot;onclick=1)");
  EXPECT_EQ(markdown_inline("** **` *"), "** **` *");
  EXPECT_EQ(markdown_html(""), "");
}

TEST(ReportText, NumbersReadWell) {
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(-0.41234), "−0.4123");
  EXPECT_EQ(number_text(45123), "45,123");
  EXPECT_EQ(number_text(1234.5), "1234");  // four digits; halves go to even
  EXPECT_EQ(number_text(12.3456), "12.35");
  EXPECT_EQ(number_text(0.0123456), "0.01235");
  EXPECT_EQ(number_text(1.234e-5), "1.23×10⁻⁵");
  EXPECT_EQ(number_text(6.02e23), "6.02×10²³");
  EXPECT_EQ(number_text(std::nan("")), "not a number");
  EXPECT_EQ(number_text(-INFINITY), "−∞");
  EXPECT_EQ(number_text(-0.0004, 2), "0.00") << "no minus zero";
  EXPECT_EQ(decimals_for(0.41, {0.301, 0.523}), 2);
  EXPECT_EQ(decimals_for(0.41, {0.4, 0.46}), 3);
  EXPECT_EQ(decimals_for(1234, {1100, 1300}), 0);
  EXPECT_EQ(interval_text({-1, 2.345}, 2), "[−1.00, 2.35]");
  EXPECT_EQ(decimals_for(0.5, {-INFINITY, INFINITY}), 4);
}

TEST(ReportPage, Base64IsThatOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text);
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(ReportPage, NumericColumnsAreAlignedRight) {
  const std::string html = table_html({.title = "", .columns = {"name", "value"}, .rows = {{"a", "1.5"}, {"b", "−2 [−3, −1]"}}}, 10);
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\">name</th><th scope=\"col\" class=\"num\">value</th>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">a</th><td class=\"num\">1.5</td>"));
}

}  // namespace
}  // namespace tessera::run
