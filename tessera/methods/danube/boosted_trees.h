#pragma once
// Gradient-boosted decision trees for two classes (Friedman 2001; second-order gains as in XGBoost, arXiv 1603.02754, eq. 6 and 7; values
// sorted into bins as in LightGBM): Danube2's second filter stage.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace tessera::danube {

struct BoostOptions {
  int64_t rounds = 200;      // trees
  int64_t depth = 4;         // splits from root to leaf
  double rate = 0.1;         // each tree's share
  double lambda = 1.0;       // L2 on leaf values
  double least_hessian = 1;  // a leaf holds at least this sum of p (1 - p)
  int64_t bins = 64;         // distinct thresholds a feature at most, 2 to 255
};

class BoostedTrees {
 public:
  // rows: [N x features], row after row, finite. labels: N, 0 or 1. InputError when sizes disagree, a value is not finite or a class is
  // missing. The same rows in the same order give the same trees.
  static BoostedTrees fit(std::span<const float> rows, std::span<const uint8_t> labels, size_t features, const BoostOptions& options = {});

  double logit(std::span<const float> row) const;              // ln(p / (1 - p)); InputError for another number of features
  double probability(std::span<const float> row) const;        // of class 1
  const std::vector<double>& gains() const { return gains_; }  // of each feature: what its splits gained in loss, in sum
  size_t features() const { return gains_.size(); }

  nlohmann::ordered_json to_json() const;
  static BoostedTrees from_json(const nlohmann::ordered_json& json);  // InputError for anything that to_json has not made

 private:
  struct Node {
    int32_t feature = -1;    // -1: a leaf
    float threshold = 0.0F;  // row[feature] <= threshold goes to `left`
    int32_t left = 0, right = 0;
    double value = 0.0;  // of a leaf
  };
  class Grower;
  double start_ = 0.0;  // logit of the mean label
  std::vector<std::vector<Node>> trees_;
  std::vector<double> gains_;
};

}  // namespace tessera::danube
