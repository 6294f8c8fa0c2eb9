#include "tessera/methods/shortgpt/block_influence.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tessera/base/error.h"

namespace tessera::shortgpt {
namespace {

using States = std::vector<torch::Tensor>;

std::vector<LayerInfluence> measure(const States& states, const torch::Tensor& mask = {}, int64_t span = 1) {
  InfluenceMeter meter(static_cast<int64_t>(states.size()) - 1, span);
  meter.start(states[0], mask);
  for (size_t i = 1; i < states.size(); ++i) meter.next(states[i]);
  return meter.result();
}

double bi_of(const torch::Tensor& x, const torch::Tensor& y) { return measure({x, y})[0].bi.mean; }

double naive_bi(const torch::Tensor& x, const torch::Tensor& y) {
  const auto a = x.to(torch::kDouble).reshape({-1, x.size(-1)}), b = y.to(torch::kDouble).reshape({-1, x.size(-1)});
  double total = 0;
  for (int64_t t = 0; t < a.size(0); ++t) {
    double xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < a.size(1); ++i) {
      const double p = a[t][i].item<double>(), q = b[t][i].item<double>();
      xx += p * p;
      yy += q * q;
      xy += p * q;
    }
    total += 1 - xy / std::sqrt(xx * yy);
  }
  return total / static_cast<double>(a.size(0));
}

TEST(BlockInfluence, OfKnownMapsIsKnown) {
  torch::manual_seed(1);
  const auto x = torch::randn({2, 9, 256});
  EXPECT_NEAR(bi_of(x, x), 0, 1e-6);
  EXPECT_NEAR(bi_of(x, -x), 2, 1e-6);
  EXPECT_NEAR(bi_of(x, 3.5 * x), 0, 1e-6);
  const auto wide = torch::randn({1, 40, 1024});
  const auto turn = std::get<0>(torch::linalg_qr(torch::randn({1024, 1024})));
  EXPECT_NEAR(bi_of(wide, wide.matmul(turn)), 1, 0.03);  // the mean of 40 cosines, each of deviation 1/32
}

TEST(BlockInfluence, IsTheHandComputedNumberOfATwoBlockToy) {
  const auto x0 = torch::tensor({{{1.F, 0.F}, {3.F, 4.F}}});
  const auto x1 = torch::tensor({{{1.F, 1.F}, {3.F, 4.F}}});   // cosines 1/sqrt(2), 1
  const auto x2 = torch::tensor({{{-1.F, 1.F}, {4.F, 3.F}}});  // cosines 0, 24/25
  const auto layers = measure({x0, x1, x2});
  EXPECT_NEAR(layers[0].bi.mean, (1 - std::sqrt(0.5)) / 2, 1e-7);
  EXPECT_NEAR(layers[1].bi.mean, (1 + 0.04) / 2, 1e-7);
  EXPECT_NEAR(layers[1].bi_without_first.mean, 0.04, 1e-7);
  EXPECT_NEAR(layers[0].magnitude.mean, std::sqrt(0.5) / 2, 1e-7);  // |f| = 1, 0
  EXPECT_NEAR(layers[1].norm.mean, (std::sqrt(2.0) + 5) / 2, 1e-6);
  EXPECT_NEAR(layers[1].angle.mean, (0.5 + std::acos(0.96) / M_PI) / 2, 1e-7);
}

TEST(BlockInfluence, EqualsANaiveFp64LoopInEveryDtype) {
  torch::manual_seed(2);
  for (auto type : {torch::kFloat, torch::kBFloat16, torch::kHalf, torch::kDouble}) {
    const auto x = (5 * torch::randn({2, 7, 37})).to(type), y = (x + torch::randn({2, 7, 37}).to(type)).to(type);
    EXPECT_NEAR(bi_of(x, y), naive_bi(x, y), 1e-6) << torch::toString(type);
  }
}

TEST(BlockInfluence, SquaresThatOverflowHalfPrecisionStayFinite) {
  const auto x = torch::full({1, 2, 64}, 3e4F).to(torch::kHalf);
  EXPECT_NEAR(bi_of(x, x), 0, 1e-6);
}

TEST(BlockInfluence, IgnoresScaleBatchSplitWindowOrderAndPadding) {
  torch::manual_seed(3);
  const auto x = torch::randn({4, 6, 33}), y = x + torch::randn({4, 6, 33}), z = y + torch::randn({4, 6, 33});
  const auto whole = measure({x, y, z});
  const auto scaled = measure({100 * x, 100 * y, 100 * z});
  const auto turned = measure({x.flip(0), y.flip(0), z.flip(0)});
  InfluenceMeter split(2);
  for (int64_t w : {0, 1, 2, 3}) {
    split.start(x.slice(0, w, w + 1));
    split.next(y.slice(0, w, w + 1));
    split.next(z.slice(0, w, w + 1));
  }
  const auto junk = torch::full({4, 3, 33}, 7.0F), none = torch::zeros({4, 3}, torch::kBool), all = torch::ones({4, 6}, torch::kBool);
  const auto right = measure({torch::cat({x, junk}, 1), torch::cat({y, -junk}, 1), torch::cat({z, junk}, 1)}, torch::cat({all, none}, 1));
  const auto left = measure({torch::cat({junk, x}, 1), torch::cat({-junk, y}, 1), torch::cat({junk, z}, 1)}, torch::cat({none, all}, 1));
  const auto parts = split.result();
  for (size_t i = 0; i < 2; ++i) {
    for (const auto* other : {&scaled, &turned, &parts, &right, &left}) {
      EXPECT_NEAR((*other)[i].bi.mean, whole[i].bi.mean, 1e-6);
      EXPECT_NEAR((*other)[i].bi.error, whole[i].bi.error, 1e-6);
      EXPECT_NEAR((*other)[i].bi_without_first.mean, whole[i].bi_without_first.mean, 1e-6);
      EXPECT_EQ((*other)[i].tokens, 24);
    }
  }
}

TEST(BlockInfluence, SkipsTokensWithoutADirectionAndCountsThem) {
  auto x = torch::randn({1, 4, 8});
  x[0][2].zero_();
  auto y = x + 1;
  y[0][3][0] = std::numeric_limits<float>::quiet_NaN();
  const auto layer = measure({x, y})[0];
  EXPECT_EQ(layer.tokens, 2);
  EXPECT_EQ(layer.skipped, 2);
  EXPECT_TRUE(std::isfinite(layer.bi.mean));
}

TEST(BlockInfluence, StandardErrorIsTheOneOverWindows) {
  torch::manual_seed(4);
  const auto x = torch::randn({5, 3, 16}), y = x + torch::randn({5, 3, 16});
  const auto per_window = (1 - torch::cosine_similarity(x, y, -1)).mean(1).to(torch::kDouble);
  const auto layer = measure({x, y})[0];
  EXPECT_NEAR(layer.bi.error, per_window.std().item<double>() / std::sqrt(5.0), 1e-6);
  EXPECT_TRUE(std::isnan(measure({x.slice(0, 0, 1), y.slice(0, 0, 1)})[0].bi.error));
}

TEST(BlockInfluence, AngularDistanceLooksSpanLayersAhead) {
  torch::manual_seed(5);
  const auto a = torch::randn({2, 3, 16}), b = torch::randn({2, 3, 16}), c = torch::randn({2, 3, 16});
  const auto layers = measure({a, b, c}, {}, 2);
  const auto expected = (torch::cosine_similarity(a, c, -1).acos() / M_PI).mean().item<double>();
  EXPECT_NEAR(layers[0].angle.mean, expected, 1e-6);
  EXPECT_TRUE(std::isnan(layers[1].angle.mean));
}

TEST(BlockInfluence, RefusesShapesThatDoNotFit) {
  InfluenceMeter meter(2);
  EXPECT_THROW(meter.start(torch::zeros({2, 3})), InputError);
  meter.start(torch::zeros({1, 2, 3}));
  EXPECT_THROW(meter.next(torch::zeros({1, 2, 4})), InputError);
  EXPECT_THROW(meter.start(torch::zeros({1, 2, 3})), InputError);  // the batch before is unfinished
  EXPECT_THROW(InfluenceMeter(2, 3), InputError);
}

}  // namespace
}  // namespace tessera::shortgpt
