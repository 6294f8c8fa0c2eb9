#include "tessera/methods/danube/training_log.h"

#include <chrono>
#include <sstream>

#include "tessera/base/files.h"
#include "tessera/run/report.h"

namespace tessera::danube {

namespace fs = std::filesystem;

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// At most about 600 points a curve.
template <class Value>
run::Line curve(const std::string& name, const std::vector<LoggedStep>& steps, const Value& value, int64_t stage = 0) {
  run::Line line{.name = name, .x = {}, .y = {}};
  const size_t every = 1 + steps.size() / 600;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (stage > 0 && steps[i].stage != stage) continue;
    if (i % every != 0 && i + 1 != steps.size()) continue;
    line.x.push_back(static_cast<double>(steps[i].tokens));
    line.y.push_back(value(steps[i]));
  }
  return line;
}

}  // namespace

TrainingLog::TrainingLog(run::Context& context, run::RunFolder& folder, TrainingTitle title, std::vector<std::string> stage_names,
                         int64_t done)
    : context_(context),
      folder_(folder),
      title_(std::move(title)),
      stage_names_(std::move(stage_names)),
      progress_(std::make_unique<Progress>(context.progress(), "train", static_cast<uint64_t>(title_.tokens), "tokens")),
      started_(now()),
      written_(started_) {
  if (done > 0) read_csv(folder.path() / "train.csv", done);
}

TrainingLog::~TrainingLog() = default;
TrainingLog::TrainingLog(TrainingLog&&) noexcept = default;

void TrainingLog::read_csv(const fs::path& path, int64_t done) {
  if (!fs::exists(path)) return;
  std::istringstream lines(read_file(path));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream fields(line);
    LoggedStep row;
    if (!(fields >> row.step >> row.tokens >> row.stage >> row.loss >> row.smoothed >> row.rate >> row.norm >> row.speed)) continue;
    if (row.step > done) continue;
    for (double value = 0.0; fields >> value;) row.own.push_back(value);
    row.own.resize(title_.own.size());
    steps_.push_back(std::move(row));
  }
}

std::string TrainingLog::csv() const {
  std::string text = "step,tokens,stage,loss,smoothed,rate,norm,tokens_per_second";
  for (const auto& name : title_.own) text += "," + name;
  text += "\n";
  for (const auto& s : steps_) {
    text +=
        fmt::format("{},{},{},{:.9g},{:.9g},{:.9g},{:.9g},{:.6g}", s.step, s.tokens, s.stage, s.loss, s.smoothed, s.rate, s.norm, s.speed);
    for (const double value : s.own) text += fmt::format(",{:.9g}", value);
    text += "\n";
  }
  return text;
}

void TrainingLog::stepped(const train::StepReport& report, double seconds, int64_t stage, std::vector<double> own) {
  const int64_t before = steps_.empty() ? 0 : steps_.back().tokens;
  steps_.push_back({.step = report.step,
                    .tokens = report.tokens,
                    .stage = stage,
                    .loss = report.loss,
                    .smoothed = report.smoothed,
                    .rate = report.rate,
                    .norm = report.norm,
                    .speed = static_cast<double>(report.tokens - before) / std::max(seconds, 1e-9),
                    .own = std::move(own)});
  const auto& last = steps_.back();
  run::MetricValues values{{"train/loss", last.loss},
                           {"train/smoothed", last.smoothed},
                           {"train/rate", last.rate},
                           {"train/norm", last.norm},
                           {"train/tokens", static_cast<double>(last.tokens)},
                           {"train/stage", static_cast<double>(last.stage)},
                           {"train/tokens_per_second", last.speed}};
  std::string own_text;
  for (size_t i = 0; i < title_.own.size(); ++i) {
    values.emplace_back("train/" + title_.own[i], last.own.at(i));
    own_text += fmt::format(", {} {:.3f}", title_.own[i], last.own[i]);
  }
  folder_.metrics().write(report.step, values);
  progress_->update(static_cast<uint64_t>(report.tokens),
                    fmt::format("stage {}, step {}, loss {:.3f}, rate {:.2e}, norm {:.2f}{}, {:.0f} tokens/s", stage, report.step,
                                report.smoothed, report.rate, report.norm, own_text, tokens_per_second()));
  if (now() - written_ > 20.0) write();
}

void TrainingLog::evaluated(const train::Figures& figures) {
  folder_.metrics().write(steps_.empty() ? 0 : steps_.back().step, run::MetricValues(figures.begin(), figures.end()));
  for (const auto& [name, value] : figures) {
    if (name != "eval/loss") continue;
    eval_tokens_.push_back(steps_.empty() ? 0.0 : static_cast<double>(steps_.back().tokens));
    eval_loss_.push_back(value);
    folder_.log(fmt::format("held-out loss {:.4f}", value));
  }
}

double TrainingLog::tokens_per_second() const {
  std::vector<double> last;
  for (size_t i = steps_.size() - std::min<size_t>(20, steps_.size()); i < steps_.size(); ++i) last.push_back(steps_[i].speed);
  if (last.empty()) return 0.0;
  std::nth_element(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(last.size() / 2), last.end());
  return last[last.size() / 2];
}

void TrainingLog::write() {
  written_ = now();
  write_file(folder_.path() / "train.csv", csv());
  run::Report report(folder_.path(), {.method = "danube", .title = title_.title, .paper = "arXiv:2401.16818", .what = title_.what});
  if (!steps_.empty()) {
    run::LinePlot losses{.title = "Loss against tokens", .x = {.label = "tokens"}, .y = {.label = "loss", .unit = "nats"}};
    for (size_t s = 0; s < stage_names_.size(); ++s) {
      auto line = curve(
          stage_names_[s], steps_, [](const LoggedStep& step) { return step.smoothed; }, static_cast<int64_t>(s) + 1);
      if (!line.x.empty()) losses.lines.push_back(std::move(line));
    }
    if (!eval_loss_.empty()) losses.lines.push_back({.name = "held-out text", .x = eval_tokens_, .y = eval_loss_});
    losses.caption = "A curve a stage, smoothed over about 50 steps; a stage begins where its curve does.";
    report.heading("Loss");
    report.plot(losses);
    report.heading("Rate, gradient, speed");
    const auto plot = [&](const std::string& title, const run::Axis& y, const auto& value) {
      report.plot(run::LinePlot{.title = title, .x = {.label = "tokens"}, .y = y, .lines = {curve(title, steps_, value)}});
    };
    plot("Learning rate", {.label = "rate"}, [](const LoggedStep& step) { return step.rate; });
    plot("Norm of the gradient", {.label = "norm", .unit = {}, .log = true}, [](const LoggedStep& step) { return step.norm; });
    plot("Speed", {.label = "speed", .unit = "tokens/s", .from = 0.0}, [](const LoggedStep& step) { return step.speed; });
    for (size_t i = 0; i < title_.own.size(); ++i)
      plot(title_.own[i], {.label = title_.own[i]}, [i](const LoggedStep& step) { return step.own.at(i); });
  }
  report.recipe(context_.recipe());
  report.seconds(now() - started_);
  (void)report.write();
}

}  // namespace tessera::danube
