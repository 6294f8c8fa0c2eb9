#pragma once
// Scoring: one forward pass over calibration windows, and the rankings that layers are removed by (ShortGPT, sections 2.3 and 4.2).

#include <functional>
#include <string>
#include <vector>

#include "tessera/methods/shortgpt/block_influence.h"
#include "tessera/methods/shortgpt/layered.h"

namespace tessera::shortgpt {

// What ranks layers; the lowest go first.
enum class Metric {
  block_influence,     // 1 - cos(X_i, X_{i+1})
  relative_magnitude,  // |f(X_i)| / |X_i + f(X_i)|
  norm,                // hidden-state norm: last layer first, the order in which the norm falls
  angular,             // arccos(cos(X_i, X_{i+n})) / pi of a span of n layers (Gromov et al., arXiv 2403.17887)
  perplexity,          // rise of log perplexity without the layer: one forward pass a layer
  sequential,          // 0, 1, 2, ...
  reverse,             // L-1, L-2, ...
  random
};
std::string_view name_of(Metric metric);  // "bi", "rm", "norm", "angular", "ppl", "sequential", "reverse", "random"

// Neighbouring windows of equal length stacked to batches of at most `batch`: [B, T].
std::vector<torch::Tensor> batches_of(const Windows& windows, int64_t batch);

struct ScoreOptions {
  int64_t span = 1;          // of the angular distance
  bool last_normed = false;  // the last layer's output is taken behind the final norm, as the official code does
  int64_t batch = 1;         // windows a pass
  // Called after every batch with the tokens done so far; false stops (what was measured stays).
  std::function<bool(int64_t tokens, const InfluenceMeter& meter)> on_batch = {};
};

// Runs the windows through the model and measures every layer. No gradient is recorded, no hidden state kept.
InfluenceMeter measure_influence(LayeredModel& model, const Windows& windows, const ScoreOptions& options = {});

// The mean over tokens and windows of each variant's negative log-likelihood, by window.
struct WindowLosses {
  std::vector<double> nats;               // [windows], sum over the window's scored tokens
  std::vector<int64_t> tokens;            // [windows], all but the first token of each
  double per_token() const;               // log perplexity
  std::vector<double> by_window() const;  // nats per token of each window
  void append(const WindowLosses& more);
};

// The losses of the model without the layers of each variant; a variant may be empty (the dense model). Variants share a pass up to the
// first layer that some of them lack and others do not: exactly the numbers of independent passes. `on_layers` hears how many layer
// applications of the total have been done.
std::vector<WindowLosses> losses_without(LayeredModel& model, const Windows& windows, const std::vector<std::vector<int64_t>>& variants,
                                         int64_t batch = 4, const std::function<void(int64_t done, int64_t total)>& on_layers = {});

// [L] rise of log perplexity when only that layer is removed.
std::vector<double> perplexity_rises(LayeredModel& model, const Windows& windows, int64_t batch = 4,
                                     const std::function<void(int64_t done, int64_t total)>& on_layers = {});

// Layer indices, first to be removed first; equal scores keep the lower index first.
std::vector<int64_t> ascending(const std::vector<double>& scores);
// The order of a metric that needs no text: sequential, reverse (also `norm`), random by seed. InputError for another metric.
std::vector<int64_t> textless_order(Metric metric, int64_t depth, uint64_t seed);
// The order of a measured metric: block_influence, relative_magnitude, norm. InputError for another metric.
std::vector<int64_t> order_by(Metric metric, const std::vector<LayerInfluence>& layers);
// The span of `count` neighbouring layers with the lowest angular distance; `layers` was measured with that span.
std::vector<int64_t> lowest_span(const std::vector<LayerInfluence>& layers, int64_t count);

}  // namespace tessera::shortgpt
