#pragma once
// The curve of a ranking: what every number of removed layers costs and saves.

#include <functional>
#include <vector>

#include "tessera/methods/shortgpt/score.h"
#include "tessera/run/report.h"

namespace tessera::shortgpt {

struct SweepPoint {
  int64_t removed = 0;
  double nats = 0, perplexity = 0;            // a token of the evaluation windows
  double seconds = 0, tokens_per_second = 0;  // of this model's whole pass, losses included
  int64_t parameters = 0, bytes = 0;          // 0: unknown
};

// Removes 0, 1, ... `most` of the first layers of `order` and measures each model on `windows` by a whole forward pass, so that its speed
// is its own. `on_point` returns false to stop.
std::vector<SweepPoint> sweep_counts(LayeredModel& model, const std::vector<int64_t>& order, const Windows& windows, int64_t most,
                                     const std::function<bool(const SweepPoint&)>& on_point = {});

// Fills parameters and bytes from the config, `element` bytes a number.
void add_sizes(std::vector<SweepPoint>& points, const std::vector<int64_t>& order, const lm::ModelConfig& config, size_t element);

// The knee of log perplexity over removed layers: the point furthest below the straight line from the first to the last point.
int64_t knee_of(const std::vector<SweepPoint>& points);

// The largest number of layers up to which perplexity never rises by more than `share` of the dense model's.
int64_t largest_within(const std::vector<SweepPoint>& points, double share);

// Perplexity, and speed against size, as plots.
void draw_sweep(run::Report& report, const std::vector<SweepPoint>& points, int64_t knee);

}  // namespace tessera::shortgpt
