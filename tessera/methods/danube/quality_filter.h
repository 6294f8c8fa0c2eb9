#pragma once
// Scores of text quality (Danube2, arXiv 2401.16818v2: heuristics, gradient-boosted trees): features by counting, the surprise of an n-gram
// model of good text, boosted trees over both.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tessera/methods/danube/boosted_trees.h"
#include "tessera/methods/danube/text_features.h"

namespace tessera::danube {

struct LabelledText {
  std::string text;
  bool good = false;
};

struct QualityOptions {
  int order = 5;  // bytes of an n-gram
  BoostOptions trees = {};
  uint64_t seed = 0;
};

class QualityFilter {
 public:
  // The n-gram model reads half of the good texts, drawn by the seed; the trees learn from all others, so that no text they see was known
  // to the model. Throws InputError with fewer than 4 texts of a kind.
  static QualityFilter train(const std::vector<LabelledText>& texts, const QualityOptions& options = {});

  double score(std::string_view text) const;  // the probability that it is good, 0 to 1
  std::vector<float> features(std::string_view text) const { return text_features(text, &model_); }
  // What each feature's splits have gained, as shares of the whole, largest first.
  std::vector<std::pair<std::string, double>> importance() const;
  const NgramModel& model() const { return model_; }

  // quality.json and ngrams.safetensors in an existing folder. load throws InputError for anything else.
  void save(const std::filesystem::path& folder) const;
  static QualityFilter load(const std::filesystem::path& folder);

 private:
  QualityFilter(NgramModel model, BoostedTrees trees) : model_(std::move(model)), trees_(std::move(trees)) {}
  NgramModel model_;
  BoostedTrees trees_;
};

}  // namespace tessera::danube
