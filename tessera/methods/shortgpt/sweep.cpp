#include "tessera/methods/shortgpt/sweep.h"

#include <chrono>
#include <cmath>

#include "tessera/run/report_text.h"

namespace tessera::shortgpt {

std::vector<SweepPoint> sweep_counts(LayeredModel& model, const std::vector<int64_t>& order, const Windows& windows, int64_t most,
                                     const std::function<bool(const SweepPoint&)>& on_point) {
  int64_t tokens = 0;
  for (const auto& window : windows) tokens += window.size(0);
  std::vector<SweepPoint> points;
  for (int64_t n = 0; n <= most; ++n) {
    const auto started = std::chrono::steady_clock::now();
    SweepPoint point{.removed = n};
    torch::NoGradGuard no_gradient;
    double nats = 0;
    int64_t scored = 0;
    std::vector<bool> gone(static_cast<size_t>(model.depth()));
    for (int64_t i = 0; i < n; ++i) gone[static_cast<size_t>(order[static_cast<size_t>(i)])] = true;
    for (const auto& ids : batches_of(windows, 4)) {
      auto x = model.start(ids);
      for (int64_t i = 0; i < model.depth(); ++i) {
        if (!gone[static_cast<size_t>(i)]) x = model.layer(i, x);
      }
      const auto losses = model.losses(model.final_norm(x.slice(1, 0, ids.size(1) - 1)), ids.slice(1, 1).to(x.device()));
      nats += losses.to(torch::kDouble).sum().item<double>();
      scored += losses.numel();
    }
    point.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    point.tokens_per_second = static_cast<double>(tokens) / point.seconds;
    point.nats = nats / static_cast<double>(scored);
    point.perplexity = std::exp(point.nats);
    points.push_back(point);
    if (on_point && !on_point(point)) break;
  }
  return points;
}

void add_sizes(std::vector<SweepPoint>& points, const std::vector<int64_t>& order, const lm::ModelConfig& config, size_t element) {
  int64_t parameters = lm::parameter_count(config);
  for (size_t n = 0; n < points.size(); ++n) {
    if (n > 0) parameters -= lm::block_parameter_count(config, order[n - 1]);
    points[n].parameters = parameters;
    points[n].bytes = parameters * static_cast<int64_t>(element);
  }
}

int64_t knee_of(const std::vector<SweepPoint>& points) {
  const auto& last = points.back();
  int64_t knee = 0;
  double furthest = 0;
  for (const auto& point : points) {
    const double share = last.removed > 0 ? static_cast<double>(point.removed) / static_cast<double>(last.removed) : 0;
    const double below = points.front().nats + share * (last.nats - points.front().nats) - point.nats;
    if (below > furthest) {
      furthest = below;
      knee = point.removed;
    }
  }
  return knee;
}

int64_t largest_within(const std::vector<SweepPoint>& points, double share) {
  int64_t largest = 0;
  for (const auto& point : points) {
    if (point.perplexity > points.front().perplexity * (1 + share)) break;
    largest = point.removed;
  }
  return largest;
}

void draw_sweep(run::Report& report, const std::vector<SweepPoint>& points, int64_t knee) {
  run::Line perplexity{.name = "perplexity", .x = {}, .y = {}}, speed{.name = "tokens a second", .x = {}, .y = {}};
  for (const auto& point : points) {
    perplexity.x.push_back(static_cast<double>(point.removed));
    perplexity.y.push_back(point.perplexity);
    speed.x.push_back(static_cast<double>(point.removed));
    speed.y.push_back(point.tokens_per_second);
  }
  run::LinePlot curve{
      .title = "Perplexity", .x = {.label = "layers removed"}, .y = {.label = "perplexity", .log = true}, .lines = {perplexity}};
  curve.levels.push_back({"10 % above the dense model", 1.1 * points.front().perplexity});
  curve.caption = fmt::format("Knee with {} removed: the point furthest below the line from first to last, in log perplexity.", knee);
  report.plot(curve);
  report.plot(run::LinePlot{.title = "Speed",
                            .x = {.label = "layers removed"},
                            .y = {.label = "speed", .unit = "tokens/s"},
                            .lines = {speed},
                            .caption = "One forward pass over the evaluation windows with losses, batches of 4 windows."});
  const auto whole = [](int64_t count) { return run::number_text(static_cast<double>(count), 0); };
  run::Table table{.title = "Every model", .columns = {"removed", "perplexity", "parameters", "bytes", "tokens/s"}};
  for (const auto& point : points) {
    table.rows.push_back({std::to_string(point.removed), run::number_text(point.perplexity, 3), whole(point.parameters), whole(point.bytes),
                          run::number_text(point.tokens_per_second, 0)});
  }
  report.table(table);
}

}  // namespace tessera::shortgpt
