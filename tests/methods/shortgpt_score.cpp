#include "tessera/methods/shortgpt/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tessera/base/error.h"

namespace tessera::shortgpt {
namespace {

// x + tanh(x W_i) * gain_i behind a random embedding; the head is the embedding. `applied` counts layer applications.
class ToyModel : public LayeredModel {
 public:
  explicit ToyModel(std::vector<double> gains) : gains_(std::move(gains)) {
    torch::manual_seed(8);
    embedding_ = torch::randn({29, 12});
    for (size_t i = 0; i < gains_.size(); ++i) weights_.push_back(torch::randn({12, 12}));
  }
  int64_t depth() const override { return static_cast<int64_t>(gains_.size()); }
  torch::Tensor start(const torch::Tensor& ids) override { return torch::embedding(embedding_, ids); }
  torch::Tensor layer(int64_t index, const torch::Tensor& x) override {
    ++applied;
    const auto i = static_cast<size_t>(index);
    return x + gains_[i] * torch::tanh(x.matmul(weights_[i]));
  }
  torch::Tensor final_norm(const torch::Tensor& x) override { return x / x.norm(2, -1, true); }
  torch::Tensor losses(const torch::Tensor& normed, const torch::Tensor& targets) override {
    return -torch::log_softmax(normed.matmul(embedding_.t()), -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1);
  }
  int64_t applied = 0;

 private:
  std::vector<double> gains_;
  torch::Tensor embedding_;
  std::vector<torch::Tensor> weights_;
};

Windows random_windows(int64_t count, int64_t length, int64_t last) {
  torch::manual_seed(9);
  Windows windows;
  for (int64_t w = 0; w < count; ++w) windows.push_back(torch::randint(29, {length}, torch::kLong));
  if (last > 0) windows.push_back(torch::randint(29, {last}, torch::kLong));
  return windows;
}

TEST(Score, BatchesHoldNeighboursOfEqualLength) {
  const auto batches = batches_of(random_windows(5, 7, 3), 2);
  ASSERT_EQ(batches.size(), 4U);
  EXPECT_EQ(batches[0].sizes(), (std::vector<int64_t>{2, 7}));
  EXPECT_EQ(batches[2].sizes(), (std::vector<int64_t>{1, 7}));
  EXPECT_EQ(batches[3].sizes(), (std::vector<int64_t>{1, 3}));
}

TEST(Score, LayersThatDoMoreScoreHigherWhateverTheBatch) {
  ToyModel model({0.5, 0.0, 0.1, 0.3});
  const auto windows = random_windows(6, 9, 4);
  const auto layers = measure_influence(model, windows).result();
  EXPECT_EQ(order_by(Metric::block_influence, layers), (std::vector<int64_t>{1, 2, 3, 0}));
  EXPECT_EQ(order_by(Metric::relative_magnitude, layers).front(), 1);
  EXPECT_EQ(layers[1].bi.mean, 0);
  EXPECT_EQ(layers[0].tokens, 58);
  const auto batched = measure_influence(model, windows, {.batch = 4}).result();
  for (size_t i = 0; i < layers.size(); ++i) EXPECT_NEAR(layers[i].bi.mean, batched[i].bi.mean, 1e-6);
}

TEST(Score, TheNormedLastStateChangesTheLastLayerAlone) {
  ToyModel model({0.5, 0.2, 0.3});
  const auto windows = random_windows(3, 9, 0);
  const auto raw = measure_influence(model, windows).result(), normed = measure_influence(model, windows, {.last_normed = true}).result();
  EXPECT_EQ(raw[1].bi.mean, normed[1].bi.mean);
  EXPECT_NEAR(raw[2].bi.mean, normed[2].bi.mean, 1e-6);  // this toy's norm keeps directions
  EXPECT_NE(raw[2].norm.mean, normed[2].norm.mean);
}

TEST(Score, StopsWhenTold) {
  ToyModel model({0.5, 0.2});
  const auto meter =
      measure_influence(model, random_windows(5, 8, 0), {.on_batch = [](int64_t tokens, const InfluenceMeter&) { return tokens < 16; }});
  EXPECT_EQ(meter.windows().size(), 2U);
}

TEST(Score, PrefixSharingGivesExactlyTheLossesOfIndependentPasses) {
  ToyModel model({0.5, 0.2, 0.4, 0.3, 0.1});
  const auto windows = random_windows(5, 8, 3);
  const std::vector<std::vector<int64_t>> variants = {{}, {0}, {2}, {4}, {1, 3}, {4, 0}};
  model.applied = 0;
  const auto shared = losses_without(model, windows, variants, 2);
  const int64_t batches = 4;
  // The dense pass; without 0 and after it (shared by {4, 0} to layer 3), without 2, and without 1 and 3.
  EXPECT_EQ(model.applied, batches * (5 + 4 + 2 + 2));
  for (size_t v = 0; v < variants.size(); ++v) {
    std::vector<double> independent;
    for (const auto& ids : batches_of(windows, 2)) {
      auto x = model.start(ids);
      for (int64_t i = 0; i < 5; ++i) {
        if (std::find(variants[v].begin(), variants[v].end(), i) == variants[v].end()) x = model.layer(i, x);
      }
      const auto sums = model.losses(model.final_norm(x.slice(1, 0, ids.size(1) - 1)), ids.slice(1, 1)).to(torch::kDouble).sum(1);
      for (int64_t b = 0; b < ids.size(0); ++b) independent.push_back(sums[b].item<double>());
    }
    EXPECT_EQ(shared[v].nats, independent) << v;
  }
  const auto rises = perplexity_rises(model, windows, 2);
  EXPECT_EQ(rises[2], shared[2].per_token() - shared[0].per_token());
  EXPECT_EQ(shared[0].tokens.back(), 2);
  EXPECT_THROW(losses_without(model, windows, {{5}}), InputError);
}

TEST(Score, OrdersOfTheMetrics) {
  EXPECT_EQ(ascending({0.3, 0.1, std::nan(""), 0.1}), (std::vector<int64_t>{1, 3, 0, 2}));
  EXPECT_EQ(textless_order(Metric::sequential, 3, 0), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(textless_order(Metric::reverse, 3, 0), (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(textless_order(Metric::random, 30, 1), textless_order(Metric::random, 30, 1));
  EXPECT_NE(textless_order(Metric::random, 30, 1), textless_order(Metric::random, 30, 2));
  EXPECT_THROW(textless_order(Metric::block_influence, 3, 0), InputError);
  std::vector<LayerInfluence> layers(5);
  for (size_t i = 0; i < 4; ++i) layers[i].angle.mean = std::array{0.4, 0.2, 0.1, 0.3}[i];
  EXPECT_EQ(lowest_span(layers, 2), (std::vector<int64_t>{2, 3}));
  for (size_t i = 0; i < 5; ++i) layers[i].norm.mean = static_cast<double>(i + 1);
  EXPECT_EQ(order_by(Metric::norm, layers), textless_order(Metric::reverse, 5, 0));
}

}  // namespace
}  // namespace tessera::shortgpt
