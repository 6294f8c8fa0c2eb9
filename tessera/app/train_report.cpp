#include "tessera/app/train_report.h"

#include <chrono>

#include "tessera/app/machine.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/base/memory.h"
#include "tessera/run/report.h"

namespace tessera::app {

namespace fs = std::filesystem;

namespace {

double steady_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double number_in(const nlohmann::json& line, const char* key) {
  return line.contains(key) && line[key].is_number() ? line[key].get<double>() : std::nan("");
}

// Every step of a short run, at most about 600 points of a long one.
run::Line curve(const std::string& name, const std::vector<double>& x, const std::vector<double>& y) {
  run::Line line{.name = name, .x = {}, .y = {}};
  const size_t every = 1 + x.size() / 600;
  for (size_t i = 0; i < x.size(); ++i)
    if (i % every == 0 || i + 1 == x.size()) line.x.push_back(x[i]), line.y.push_back(y[i]);
  return line;
}

}  // namespace

TrainHistory metrics_until(const fs::path& metrics, int64_t step) {
  TrainHistory history;
  if (!fs::exists(metrics)) return history;
  std::string kept;
  const std::string text = read_file(metrics);
  for (size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const auto json = try_parse_json<nlohmann::json>(line);
    if (!json.is_object() || !(number_in(json, "step") <= static_cast<double>(step))) continue;
    kept += line + "\n";
    if (json.contains("train/loss")) {
      history.tokens.push_back(number_in(json, "train/tokens"));
      history.loss.push_back(number_in(json, "train/loss"));
      history.smoothed.push_back(number_in(json, "train/smoothed"));
      history.rate.push_back(number_in(json, "train/rate"));
      history.norm.push_back(number_in(json, "train/norm"));
      history.speed.push_back(number_in(json, "train/tokens_per_second"));
    }
    if (json.contains("eval/loss")) {
      history.eval_tokens.push_back(history.tokens.empty() ? 0.0 : history.tokens.back());
      history.eval_loss.push_back(number_in(json, "eval/loss"));
    }
  }
  if (kept != text) write_file(metrics, kept);
  return history;
}

TrainReport::TrainReport(run::Context& context, run::RunFolder& folder, const train::TrainPlan& plan, std::string what,
                         TrainHistory history, int64_t done_tokens)
    : context_(context),
      folder_(folder),
      plan_(plan),
      what_(std::move(what)),
      history_(std::move(history)),
      progress_(std::make_unique<Progress>(context.progress(), "train", static_cast<uint64_t>(plan.tokens), "tokens")),
      tokens_(done_tokens),
      started_(steady_seconds()),
      written_(started_) {}

TrainReport::~TrainReport() = default;

void TrainReport::stepped(const train::StepReport& report, double seconds) {
  const double speed = static_cast<double>(report.tokens - tokens_) / std::max(seconds, 1e-9);
  tokens_ = report.tokens;
  history_.tokens.push_back(static_cast<double>(report.tokens));
  history_.loss.push_back(report.loss);
  history_.smoothed.push_back(report.smoothed);
  history_.rate.push_back(report.rate);
  history_.norm.push_back(report.norm);
  history_.speed.push_back(speed);
  std::vector<double> last(history_.speed.end() - static_cast<std::ptrdiff_t>(std::min<size_t>(20, history_.speed.size())),
                           history_.speed.end());
  std::nth_element(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(last.size() / 2), last.end());
  speed_ = last[last.size() / 2];
  folder_.metrics().write(report.step, {{"train/loss", report.loss},
                                        {"train/smoothed", report.smoothed},
                                        {"train/rate", report.rate},
                                        {"train/norm", report.norm},
                                        {"train/tokens", static_cast<double>(report.tokens)},
                                        {"train/tokens_per_second", speed}});
  progress_->update(static_cast<uint64_t>(report.tokens),
                    fmt::format("step {}, loss {:.3f}, {:.0f} tokens/s, {}", report.step, report.smoothed, speed_,
                                short_bytes(static_cast<double>(process_memory().peak))));
  write_now_and_then();
}

void TrainReport::evaluated(int64_t step, const train::Figures& figures) {
  run::MetricValues values(figures.begin(), figures.end());
  folder_.metrics().write(step, values);
  for (const auto& [name, value] : figures) {
    if (name != "eval/loss") continue;
    history_.eval_tokens.push_back(static_cast<double>(tokens_));
    history_.eval_loss.push_back(value);
    folder_.log(fmt::format("step {}: held-out loss {:.4f}", step, value));
  }
}

void TrainReport::write_now_and_then() {
  if (steady_seconds() - written_ < 20.0) return;
  write();
}

void TrainReport::write() {
  written_ = steady_seconds();
  run::Report report(folder_.path(), {.method = "train", .title = "Training run", .paper = "", .what = what_});
  report.heading("Loss");
  std::vector<run::Line> losses{curve("each step", history_.tokens, history_.loss), curve("average", history_.tokens, history_.smoothed)};
  if (!history_.eval_loss.empty()) losses.push_back(curve("held-out text", history_.eval_tokens, history_.eval_loss));
  report.plot(run::LinePlot{.title = "Loss against tokens",
                            .x = {.label = "tokens"},
                            .y = {.label = "loss", .unit = "nats a token"},
                            .lines = std::move(losses)});
  report.heading("Rate, gradient, speed");
  report.plot(run::LinePlot{.title = "Learning rate",
                            .x = {.label = "tokens"},
                            .y = {.label = "rate"},
                            .lines = {curve("rate", history_.tokens, history_.rate)}});
  report.plot(run::LinePlot{.title = "Norm of the gradient",
                            .x = {.label = "tokens"},
                            .y = {.label = "norm", .log = true},
                            .lines = {curve("norm before clipping", history_.tokens, history_.norm)}});
  report.plot(run::LinePlot{.title = "Speed",
                            .x = {.label = "tokens"},
                            .y = {.label = "speed", .unit = "tokens/s", .from = 0.0},
                            .lines = {curve("speed", history_.tokens, history_.speed)}});
  report.setting("parameters", short_count(static_cast<double>(plan_.parameters)));
  report.setting("steps", std::to_string(plan_.steps));
  report.setting("peak memory", short_bytes(static_cast<double>(process_memory().peak)));
  report.recipe(context_.recipe());
  report.seconds(steady_seconds() - started_);
  (void)report.write();
}

}  // namespace tessera::app
