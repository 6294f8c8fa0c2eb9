#include "tessera/methods/danube/boosted_trees.h"

#include <algorithm>
#include <cmath>

#include "tessera/base/error.h"

namespace tessera::danube {

namespace {

double sigmoid(double z) { return 1.0 / (1.0 + std::exp(-z)); }

// Ascending thresholds at quantiles: a value <= thresholds[b] and above the one before is in bin b, a larger one in the last bin.
std::vector<float> thresholds_of(std::vector<float> values, int64_t bins) {
  std::sort(values.begin(), values.end());
  std::vector<float> thresholds;
  for (int64_t b = 1; b < bins; ++b) {
    const float at = values[static_cast<size_t>(b) * (values.size() - 1) / static_cast<size_t>(bins)];
    if (at < values.back() && (thresholds.empty() || at > thresholds.back())) thresholds.push_back(at);
  }
  return thresholds;
}

struct Sums {
  double gradient = 0.0, hessian = 0.0;
  Sums operator-(const Sums& other) const { return {gradient - other.gradient, hessian - other.hessian}; }
  void add(double g, double h) {
    gradient += g;
    hessian += h;
  }
  double score(double lambda) const { return gradient * gradient / (hessian + lambda); }
};

void check_rows(std::span<const float> rows, std::span<const uint8_t> labels, size_t features, const BoostOptions& options) {
  if (features == 0 || labels.empty() || rows.size() != labels.size() * features)
    throw InputError("{} values for {} rows of {} features; give one value each", rows.size(), labels.size(), features);
  if (!std::all_of(rows.begin(), rows.end(), [](float x) { return std::isfinite(x); }))
    throw InputError("a feature is not finite; give finite values");
  const auto ones = std::count(labels.begin(), labels.end(), uint8_t{1}), zeros = std::count(labels.begin(), labels.end(), uint8_t{0});
  if (ones == 0 || zeros == 0 || ones + zeros != static_cast<std::ptrdiff_t>(labels.size()))
    throw InputError("{} rows of class 1 and {} of class 0 among {}; give both classes and no other", ones, zeros, labels.size());
  if (options.rounds < 1 || options.depth < 1 || options.depth > 16 || options.bins < 2 || options.bins > 255 || !(options.rate > 0.0))
    throw InputError("{} rounds of depth {} with {} bins at rate {}; give 1 and more, 1 to 16, 2 to 255, above 0", options.rounds,
                     options.depth, options.bins, options.rate);
}

}  // namespace

// Grows one tree after another over the same bins.
class BoostedTrees::Grower {
 public:
  Grower(BoostedTrees& model, std::span<const float> rows, std::span<const uint8_t> labels, const BoostOptions& options)
      : model_(model),
        labels_(labels),
        options_(options),
        features_(model.features()),
        bins_(rows.size()),
        logits_(labels.size(), model.start_) {
    for (size_t f = 0; f < features_; ++f) {
      std::vector<float> values;
      for (size_t i = f; i < rows.size(); i += features_) values.push_back(rows[i]);
      thresholds_.push_back(thresholds_of(values, options.bins));
      for (size_t i = 0; i < values.size(); ++i)
        bins_[i * features_ + f] =
            static_cast<uint8_t>(std::lower_bound(thresholds_[f].begin(), thresholds_[f].end(), values[i]) - thresholds_[f].begin());
    }
    gradients_.resize(labels.size());
    hessians_.resize(labels.size());
  }

  void grow() {
    std::vector<uint32_t> all(labels_.size());
    for (size_t i = 0; i < all.size(); ++i) {
      all[i] = static_cast<uint32_t>(i);
      const double p = sigmoid(logits_[i]);
      gradients_[i] = p - labels_[i];
      hessians_[i] = p * (1.0 - p);
    }
    tree_.clear();
    split(std::move(all), options_.depth);
    model_.trees_.push_back(tree_);
  }

 private:
  struct Split {
    double gain = 0.0;
    size_t feature = 0, bin = 0;  // bins <= bin go left
  };

  int32_t split(std::vector<uint32_t> rows, int64_t depth) {
    const auto at = static_cast<int32_t>(tree_.size());
    tree_.emplace_back();
    Sums sums;
    for (const uint32_t i : rows) sums.add(gradients_[i], hessians_[i]);
    const Split best = depth > 0 ? best_split(rows, sums) : Split{};
    if (best.gain <= 1e-9) {
      const double value = -options_.rate * sums.gradient / (sums.hessian + options_.lambda);
      tree_[static_cast<size_t>(at)].value = value;
      for (const uint32_t i : rows) logits_[i] += value;
      return at;
    }
    model_.gains_[best.feature] += best.gain;
    const auto middle =
        std::stable_partition(rows.begin(), rows.end(), [&](uint32_t i) { return bins_[i * features_ + best.feature] <= best.bin; });
    std::vector<uint32_t> right(middle, rows.end());
    rows.erase(middle, rows.end());
    const int32_t left_at = split(std::move(rows), depth - 1), right_at = split(std::move(right), depth - 1);
    auto& node = tree_[static_cast<size_t>(at)];
    node.feature = static_cast<int32_t>(best.feature);
    node.threshold = thresholds_[best.feature][best.bin];
    node.left = left_at;
    node.right = right_at;
    return at;
  }

  Split best_split(const std::vector<uint32_t>& rows, const Sums& sums) const {
    Split best;
    for (size_t f = 0; f < features_; ++f) {
      std::vector<Sums> bins(thresholds_[f].size() + 1);
      for (const uint32_t i : rows) bins[bins_[i * features_ + f]].add(gradients_[i], hessians_[i]);
      Sums left;
      for (size_t b = 0; b < thresholds_[f].size(); ++b) {
        left.add(bins[b].gradient, bins[b].hessian);
        const Sums right = sums - left;
        if (left.hessian < options_.least_hessian || right.hessian < options_.least_hessian) continue;
        const double gain = 0.5 * (left.score(options_.lambda) + right.score(options_.lambda) - sums.score(options_.lambda));
        if (gain > best.gain) best = {gain, f, b};
      }
    }
    return best;
  }

  BoostedTrees& model_;
  std::span<const uint8_t> labels_;
  BoostOptions options_;
  size_t features_;
  std::vector<uint8_t> bins_;  // [N x features]
  std::vector<std::vector<float>> thresholds_;
  std::vector<double> logits_, gradients_, hessians_;
  std::vector<Node> tree_;
};

BoostedTrees BoostedTrees::fit(std::span<const float> rows, std::span<const uint8_t> labels, size_t features, const BoostOptions& options) {
  check_rows(rows, labels, features, options);
  BoostedTrees model;
  model.gains_.resize(features, 0.0);
  const double mean = static_cast<double>(std::count(labels.begin(), labels.end(), uint8_t{1})) / static_cast<double>(labels.size());
  model.start_ = std::log(mean / (1.0 - mean));
  Grower grower(model, rows, labels, options);
  for (int64_t round = 0; round < options.rounds; ++round) grower.grow();
  return model;
}

double BoostedTrees::logit(std::span<const float> row) const {
  if (row.size() != features()) throw InputError("{} features for trees over {}; give as many", row.size(), features());
  double sum = start_;
  for (const auto& tree : trees_) {
    const Node* node = tree.data();
    while (node->feature >= 0)
      node = &tree[static_cast<size_t>(row[static_cast<size_t>(node->feature)] <= node->threshold ? node->left : node->right)];
    sum += node->value;
  }
  return sum;
}

double BoostedTrees::probability(std::span<const float> row) const { return sigmoid(logit(row)); }

nlohmann::ordered_json BoostedTrees::to_json() const {
  nlohmann::ordered_json trees = nlohmann::ordered_json::array();
  for (const auto& tree : trees_) {
    nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
    for (const auto& node : tree) nodes.push_back({node.feature, node.threshold, node.left, node.right, node.value});
    trees.push_back(std::move(nodes));
  }
  return {{"version", 1}, {"start", start_}, {"gains", gains_}, {"trees", std::move(trees)}};
}

BoostedTrees BoostedTrees::from_json(const nlohmann::ordered_json& json) {
  const InputError broken("these are no boosted trees of this program; train the filter anew");
  try {
    if (json.at("version") != 1) throw broken;
    BoostedTrees model;
    model.start_ = json.at("start").get<double>();
    model.gains_ = json.at("gains").get<std::vector<double>>();
    for (const auto& nodes : json.at("trees")) {
      auto& tree = model.trees_.emplace_back();
      const auto size = static_cast<int32_t>(nodes.size());
      for (const auto& each : nodes) {
        Node node{.feature = each.at(0).get<int32_t>(),
                  .threshold = each.at(1).get<float>(),
                  .left = each.at(2).get<int32_t>(),
                  .right = each.at(3).get<int32_t>(),
                  .value = each.at(4).get<double>()};
        const auto at = static_cast<int32_t>(tree.size());  // children come behind their parent, so every walk ends
        const bool leaf = node.feature == -1, inner = node.feature >= 0 && node.feature < static_cast<int32_t>(model.features()) &&
                                                      node.left > at && node.left < size && node.right > at && node.right < size;
        if (!leaf && !inner) throw broken;
        tree.push_back(node);
      }
      if (tree.empty()) throw broken;
    }
    return model;
  } catch (const nlohmann::json::exception&) {
    throw broken;
  }
}

}  // namespace tessera::danube
