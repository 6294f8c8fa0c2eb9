#include "tessera/methods/danube/quality_filter.h"

#include <algorithm>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/base/random.h"

namespace tessera::danube {

QualityFilter QualityFilter::train(const std::vector<LabelledText>& texts, const QualityOptions& options) {
  std::vector<size_t> good, rest;
  for (size_t i = 0; i < texts.size(); ++i) (texts[i].good ? good : rest).push_back(i);
  if (good.size() < 4 || rest.size() < 4)
    throw InputError("{} good texts and {} others; give at least 4 of each, better some hundreds", good.size(), rest.size());
  RandomStream(options.seed, "quality").shuffle(std::span(good));
  NgramModel model(options.order);
  for (size_t k = 0; k < good.size() / 2; ++k) model.read(texts[good[k]].text);
  rest.insert(rest.end(), good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2), good.end());
  std::sort(rest.begin(), rest.end());
  std::vector<float> rows;
  std::vector<uint8_t> labels;
  for (const size_t i : rest) {
    const auto row = text_features(texts[i].text, &model);
    rows.insert(rows.end(), row.begin(), row.end());
    labels.push_back(texts[i].good ? 1 : 0);
  }
  auto trees = BoostedTrees::fit(rows, labels, kFeatureNames.size(), options.trees);
  return {std::move(model), std::move(trees)};
}

double QualityFilter::score(std::string_view text) const { return trees_.probability(features(text)); }

std::vector<std::pair<std::string, double>> QualityFilter::importance() const {
  const auto& gains = trees_.gains();
  const double all = std::accumulate(gains.begin(), gains.end(), 0.0);
  std::vector<std::pair<std::string, double>> shares;
  for (size_t f = 0; f < gains.size(); ++f) shares.emplace_back(kFeatureNames[f], all > 0.0 ? gains[f] / all : 0.0);
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return shares;
}

void QualityFilter::save(const std::filesystem::path& folder) const {
  model_.save(folder / "ngrams.safetensors");
  nlohmann::ordered_json json{{"features", kFeatureNames}, {"trees", trees_.to_json()}};
  write_file(folder / "quality.json", json.dump() + "\n");
}

QualityFilter QualityFilter::load(const std::filesystem::path& folder) {
  const auto path = folder / "quality.json";
  const auto json = try_parse_json(read_file(path));
  if (!json.is_object() || !json.contains("features") || json["features"] != nlohmann::ordered_json(kFeatureNames) ||
      !json.contains("trees"))
    throw InputError("{} is no quality filter of this program; train it with danube quality --train", path.string());
  auto trees = BoostedTrees::from_json(json["trees"]);
  if (trees.features() != kFeatureNames.size())
    throw InputError("{}: trees over {} features, not {}; train the filter anew", path.string(), trees.features(), kFeatureNames.size());
  return {NgramModel::load(folder / "ngrams.safetensors"), std::move(trees)};
}

}  // namespace tessera::danube
