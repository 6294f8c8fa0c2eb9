#pragma once
// report.html: one self-contained page under 300 kB that says what was run, which claims hold, beside which baselines, and on which
// machine.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/run/claim.h"
#include "tessera/run/metrics.h"
#include "tessera/run/plot.h"

namespace tessera::run {

// How much a reproduction measures. A quick run checks that everything works: its numbers are shown, but judge no claim.
enum class Mode { quick, normal, full };
std::string mode_text(Mode mode);  // "quick", "default", "full"

struct ReportHead {
  std::string method;      // slug: "shortgpt"
  std::string title;       // "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect"
  std::string paper = {};  // "arXiv:2403.03853v3": arXiv numbers become a link
  std::string what = {};   // one or two sentences: what was run on what; Markdown as Report::text
  Mode mode = Mode::normal;
};

// One number of a baseline: {.of = "log PPL, n = 3", .value = 3.41, .interval = Interval{3.2, 3.6}, .unit = "nats"}.
struct BaselineValue {
  std::string of;
  double value = 0;
  std::optional<Interval> interval = {};
  std::string unit = {};
};

// One row of the baselines table; the columns are the quantities of all rows, in the order of their first appearance.
struct Baseline {
  std::string name;
  std::vector<BaselineValue> values;
  std::string note = {};  // budget, tuning effort, seeds
  bool ours = false;      // the method itself, set off from its baselines
};

// Cells are text, already formatted. Columns whose cells all look like numbers are aligned right. Beyond 100 rows the rest goes to
// artifacts/table-N.csv.
struct Table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows = {};  // each as long as `columns`, else std::logic_error
  std::string caption = {};
};

// A PNG inside the page. When all images together pass 120 kB, the next ones are written to artifacts/ and named instead.
struct Image {
  std::string title;
  std::string png;  // the file's bytes
  std::string alt;  // what it shows, for readers who cannot see it
  std::string caption = {};
};

// Built up in the order in which a reader meets it, written once at the end:
//   Report report(folder.path(), {.method = "shortgpt", .title = "...", .what = "..."});
//   report.declare({c1, c2, c5});
//   report.heading("Which layers matter");
//   report.plot(LinePlot{...});
//   report.judge(c1, differences);
//   report.not_measured(c5, "needs --full");
//   report.write();
// All text is escaped. Not for several threads at once.
class Report {
 public:
  // `folder` is the run's folder, which exists.
  Report(std::filesystem::path folder, ReportHead head);

  // The claims of the reproduction, before anything is measured: they fix the order of the table, and one that is never judged shows as not
  // measured. Throws std::logic_error for a malformed claim or an id used twice.
  void declare(const std::vector<Claim>& claims);
  // Judges a claim; see claim.h. In a quick run the verdict is "not measured", with the numbers shown all the same.
  const Judgement& judge(const Claim& claim, const Sample& sample);
  const Judgement& judge(const Claim& claim, const Samples& samples);
  const Judgement& not_measured(const Claim& claim, std::string why);

  void baseline(Baseline row);

  // One measured arm (a variant, a seed, a baseline) and its numbers, at once: a line of the run's metrics.jsonl and log.txt. baseline()
  // and judge() hand in theirs themselves.
  void measured(const std::string& arm, const MetricValues& values) const;
  // Where measured arms go; the program sets it. Without it they go nowhere.
  void send_measured_to(std::function<void(const std::string& arm, const MetricValues& values)> sink) { measured_ = std::move(sink); }

  // Sections, in this order on the page. text: paragraphs split by empty lines, lists ("- "), **bold**, *italic*, `code`,
  // [links](https://...).
  void heading(std::string_view title);
  void text(std::string_view markdown);
  void plot(const LinePlot& plot);
  void plot(const BarPlot& plot);
  void plot(const ScatterPlot& plot);
  void table(const Table& table);
  void image(const Image& image);

  // What the small scale leaves open, beside what the claims say themselves. Markdown as text().
  void cannot_show(std::string_view markdown);
  // A line of "How it was run" beside the machine, version and commit, which stand there anyway: ("LibTorch", "2.13.0"), ("dtype",
  // "float32"),
  // ("seed", "0"), ("threads", "2").
  void setting(std::string name, std::string value);
  // The resolved recipe, as TOML.
  void recipe(std::string toml);
  // Wall-clock seconds of the run; without it, the time since this object was made.
  void seconds(double seconds);

  // True when a claim was measured and every measured claim holds. In a quick run: false, as nothing was judged.
  bool holds() const;
  // True when a claim was measured and does not hold: the program's exit code 3.
  bool refuted() const;
  // Every claim so far, in the declared order.
  const std::vector<Judgement>& judgements() const { return judgements_; }

  // Writes report.html atomically and returns its path.
  std::filesystem::path write() const;
  // The document of `reproduce --json`: {method, mode, seconds, holds, report, claims: [...], baselines: [...]}. `holds` is null where
  // nothing was measured. A claim's `ours` and `interval` are those of deciding_condition(); `conditions` lists all.
  nlohmann::ordered_json document() const;
  // The page itself.
  std::string html() const;

 private:
  const Judgement& record(Judgement judgement);

  std::filesystem::path folder_;
  ReportHead head_;
  std::vector<Judgement> judgements_;
  std::vector<Baseline> baselines_;
  std::vector<std::string> sections_;  // HTML
  std::vector<std::string> limits_;    // HTML
  std::vector<std::pair<std::string, std::string>> settings_;
  std::function<void(const std::string& arm, const MetricValues& values)> measured_;
  std::string recipe_;
  std::optional<double> seconds_;
  double started_ = 0;  // steady clock, seconds
  size_t figures_ = 0;
  size_t image_bytes_ = 0;
};

}  // namespace tessera::run
