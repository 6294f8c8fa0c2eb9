#include "tessera/methods/shortgpt/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "tessera/base/error.h"
#include "tessera/base/random.h"

namespace tessera::shortgpt {
namespace {

WindowLosses losses_behind(LayeredModel& model, const torch::Tensor& x, const torch::Tensor& ids) {
  const int64_t tokens = ids.size(1) - 1;
  const auto normed = model.final_norm(x.slice(1, 0, tokens));
  const auto sums = model.losses(normed, ids.slice(1, 1).to(normed.device())).to(torch::kDouble).sum(1).cpu();
  WindowLosses losses;
  for (int64_t b = 0; b < ids.size(0); ++b) {
    losses.nats.push_back(sums[b].item<double>());
    losses.tokens.push_back(tokens);
  }
  return losses;
}

// The passes of the variants `which` from layer `i` on, x being the state before it: together as long as they agree on the layers that they
// lack. apply(layer, x) gives the state behind a layer; end(variants, x) hears the last state of those that lack the same layers.
template <class State, class Apply, class End>
void share_passes(const std::vector<std::set<int64_t>>& removed, int64_t depth, int64_t i, std::vector<size_t> which, State x,
                  const Apply& apply, const End& end) {
  for (; i < depth; ++i) {
    std::vector<size_t> lacking, having;
    for (size_t v : which) (removed[v].contains(i) ? lacking : having).push_back(v);
    if (having.empty()) continue;
    if (!lacking.empty()) share_passes(removed, depth, i + 1, lacking, x, apply, end);
    x = apply(i, x);
    which = std::move(having);
  }
  end(which, x);
}

}  // namespace

std::string_view name_of(Metric metric) {
  constexpr std::string_view names[] = {"bi", "rm", "norm", "angular", "ppl", "sequential", "reverse", "random"};
  return names[static_cast<size_t>(metric)];
}

std::vector<torch::Tensor> batches_of(const Windows& windows, int64_t batch) {
  std::vector<torch::Tensor> batches;
  for (size_t begin = 0; begin < windows.size();) {
    size_t end = begin + 1;
    while (end < windows.size() && static_cast<int64_t>(end - begin) < batch && windows[end].size(0) == windows[begin].size(0)) ++end;
    batches.push_back(torch::stack(torch::TensorList(windows).slice(begin, end - begin)));
    begin = end;
  }
  return batches;
}

InfluenceMeter measure_influence(LayeredModel& model, const Windows& windows, const ScoreOptions& options) {
  torch::NoGradGuard no_gradient;
  const int64_t depth = model.depth();
  InfluenceMeter meter(depth, options.span);
  int64_t tokens = 0;
  for (const auto& ids : batches_of(windows, options.batch)) {
    auto x = model.start(ids);
    meter.start(x);
    for (int64_t i = 0; i < depth; ++i) {
      x = model.layer(i, x);
      meter.next(i + 1 == depth && options.last_normed ? model.final_norm(x) : x);
    }
    tokens += ids.numel();
    if (options.on_batch && !options.on_batch(tokens, meter)) break;
  }
  return meter;
}

void WindowLosses::append(const WindowLosses& more) {
  nats.insert(nats.end(), more.nats.begin(), more.nats.end());
  tokens.insert(tokens.end(), more.tokens.begin(), more.tokens.end());
}

double WindowLosses::per_token() const {
  const double total = std::accumulate(nats.begin(), nats.end(), 0.0);
  return total / static_cast<double>(std::accumulate(tokens.begin(), tokens.end(), int64_t{0}));
}

std::vector<double> WindowLosses::by_window() const {
  std::vector<double> means;
  for (size_t w = 0; w < nats.size(); ++w) means.push_back(nats[w] / static_cast<double>(tokens[w]));
  return means;
}

std::vector<WindowLosses> losses_without(LayeredModel& model, const Windows& windows, const std::vector<std::vector<int64_t>>& variants,
                                         int64_t batch, const std::function<void(int64_t done, int64_t total)>& on_layers) {
  torch::NoGradGuard no_gradient;
  const int64_t depth = model.depth();
  std::vector<std::set<int64_t>> removed;
  for (const auto& variant : variants) {
    for (int64_t index : removed.emplace_back(variant.begin(), variant.end())) {
      if (index < 0 || index >= depth) throw InputError("layer {} of a model of {} layers; give 0 to {}", index, depth, depth - 1);
    }
  }
  std::vector<size_t> all(variants.size());
  std::iota(all.begin(), all.end(), size_t{0});
  int64_t work = 0, done = 0;  // layer applications: of a batch, so far
  share_passes(
      removed, depth, 0, all, 0, [&](int64_t, int) { return ++work, 0; }, [](const auto&, int) {});
  std::vector<WindowLosses> losses(variants.size());
  const auto batches = batches_of(windows, batch);
  for (const auto& ids : batches) {
    if (ids.size(1) < 2) continue;  // a lone token predicts nothing
    const auto layer = [&](int64_t i, const torch::Tensor& x) {
      auto next = model.layer(i, x);
      if (on_layers) on_layers(++done, work * static_cast<int64_t>(batches.size()));
      return next;
    };
    share_passes(removed, depth, 0, all, model.start(ids), layer, [&](const std::vector<size_t>& which, const torch::Tensor& x) {
      const auto here = losses_behind(model, x, ids);
      for (size_t v : which) losses[v].append(here);
    });
  }
  return losses;
}

std::vector<double> perplexity_rises(LayeredModel& model, const Windows& windows, int64_t batch,
                                     const std::function<void(int64_t done, int64_t total)>& on_layers) {
  std::vector<std::vector<int64_t>> variants = {{}};
  for (int64_t i = 0; i < model.depth(); ++i) variants.push_back({i});
  const auto losses = losses_without(model, windows, variants, batch, on_layers);
  std::vector<double> rises;
  for (size_t v = 1; v < losses.size(); ++v) rises.push_back(losses[v].per_token() - losses[0].per_token());
  return rises;
}

std::vector<int64_t> ascending(const std::vector<double>& scores) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const double x = scores[static_cast<size_t>(a)], y = scores[static_cast<size_t>(b)];
    return std::isnan(y) ? !std::isnan(x) : x < y;  // what could not be measured goes last
  });
  return order;
}

std::vector<int64_t> textless_order(Metric metric, int64_t depth, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(depth));
  std::iota(order.begin(), order.end(), 0);
  if (metric == Metric::reverse || metric == Metric::norm) {
    std::reverse(order.begin(), order.end());
  } else if (metric == Metric::random) {
    RandomStream(seed, "shortgpt/random").shuffle(std::span(order));
  } else if (metric != Metric::sequential) {
    throw InputError("the metric {} needs calibration text; give --calib FILE", name_of(metric));
  }
  return order;
}

std::vector<int64_t> order_by(Metric metric, const std::vector<LayerInfluence>& layers) {
  std::vector<double> scores;
  for (const auto& layer : layers) {
    switch (metric) {
      case Metric::block_influence:
        scores.push_back(layer.bi.mean);
        break;
      case Metric::relative_magnitude:
        scores.push_back(layer.magnitude.mean);
        break;
      case Metric::norm:
        scores.push_back(-layer.norm.mean);  // the stream grows with depth: the largest norm is removed first
        break;
      default:
        throw InputError("the metric {} is not measured by a forward pass of the whole model; choose bi, rm or norm", name_of(metric));
    }
  }
  return ascending(scores);
}

std::vector<int64_t> lowest_span(const std::vector<LayerInfluence>& layers, int64_t count) {
  std::vector<double> distances;
  distances.reserve(layers.size());
  for (const auto& layer : layers) distances.push_back(layer.angle.mean);
  const int64_t first = ascending(distances).front();
  std::vector<int64_t> span(static_cast<size_t>(count));
  std::iota(span.begin(), span.end(), first);
  return span;
}

}  // namespace tessera::shortgpt
