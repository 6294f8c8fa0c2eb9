#include "tessera/methods/shortgpt/quantise.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"

namespace tessera::shortgpt {
namespace {

bool same(const QuantisedMatrix& a, const QuantisedMatrix& b) {
  return torch::equal(a.codes, b.codes) && torch::equal(a.scales, b.scales) && torch::equal(a.zeros, b.zeros) &&
         torch::equal(a.dequantised(), b.dequantised());
}

// Mean squared error of the layer's output on its own inputs: what GPTQ minimises.
double output_error(const torch::Tensor& weight, const QuantisedMatrix& quantised, const torch::Tensor& inputs) {
  return (inputs.mm((weight - quantised.dequantised()).t())).square().mean().item<double>();
}

TEST(Quantise, RoundsToTheNearestLevelOfEachGroup) {
  const auto weight = torch::tensor({{-1.0F, 0.0F, 0.5F, 2.0F, 0.1F}});
  const auto q = round_to_nearest(weight, {.bits = 2, .group = 4});  // levels of the first group: -1 0 1 2
  EXPECT_TRUE(torch::allclose(q.dequantised().slice(1, 0, 4), torch::tensor({{-1.0F, 0.0F, 0.0F, 2.0F}})));  // 0.5 goes to even
  EXPECT_NEAR(q.dequantised()[0][4].item<float>(), 0.1, 1e-7);
  EXPECT_EQ(q.bytes(), 2 + 2 * 2 * 2);
}

TEST(Quantise, ErrsByAQuarterStepOnAverage) {
  torch::manual_seed(1);
  const auto weight = torch::randn({7, 300});
  for (int bits : {2, 4, 8}) {
    const auto q = round_to_nearest(weight, {.bits = bits});
    const auto errors = (q.dequantised() - weight).abs() / q.scales.index_select(1, q.group_of);
    EXPECT_LE(errors.max().item<float>(), 1.001F) << bits;  // the zero point is rounded too: up to half a step more at the ends
    EXPECT_NEAR(errors.mean().item<float>(), 0.25F, 0.03F) << bits;
    EXPECT_EQ(q.codes.max().item<int>(), (1 << bits) - 1);
  }
}

TEST(Quantise, ConstantAndZeroRowsAreExact) {
  const auto weight = torch::stack({torch::zeros({130}), torch::full({130}, 0.75F), torch::full({130}, -0.75F)});
  EXPECT_TRUE(torch::allclose(round_to_nearest(weight).dequantised(), weight));
}

TEST(Quantise, GptqWithAnIdentityHessianEqualsRoundToNearest) {
  torch::manual_seed(2);
  const auto weight = torch::randn({16, 320});
  for (bool act_order : {false, true}) {
    for (double scale : {1.0, 2.0, 1e4}) {
      EXPECT_TRUE(same(gptq(weight, scale * torch::eye(320), {.act_order = act_order}), round_to_nearest(weight)));
    }
  }
}

TEST(Quantise, GptqBeatsRoundToNearestOnCorrelatedInputs) {
  torch::manual_seed(3);
  const auto weight = torch::randn({32, 256}), inputs = torch::randn({600, 64}).mm(torch::randn({64, 256})) + torch::randn({600, 256});
  HessianSum sum;
  sum.add(inputs.slice(0, 0, 300).reshape({3, 100, 256}));
  sum.add(inputs.slice(0, 300));
  EXPECT_TRUE(torch::allclose(sum.value(), 2 * inputs.t().mm(inputs), 1e-4, 1e-1));
  const double nearest = output_error(weight, round_to_nearest(weight), inputs);
  EXPECT_LT(output_error(weight, gptq(weight, sum.value()), inputs), 0.6 * nearest);
  EXPECT_LT(output_error(weight, gptq(weight, sum.value(), {.act_order = true}), inputs), 0.6 * nearest);
}

TEST(Quantise, ColumnsThatAreNeverUsedBecomeZero) {
  torch::manual_seed(4);
  const auto weight = torch::randn({4, 16});
  auto hessian = torch::eye(16);
  hessian[3][3] = 0;
  const auto values = gptq(weight, hessian).dequantised();
  EXPECT_EQ(values.select(1, 3).abs().max().item<float>(), 0);
  EXPECT_GT(values.select(1, 4).abs().max().item<float>(), 0);
}

TEST(Quantise, RefusesWhatDoesNotFit) {
  EXPECT_THROW(round_to_nearest(torch::zeros({3})), InputError);
  EXPECT_THROW(round_to_nearest(torch::zeros({3, 3}), {.bits = 1}), InputError);
  EXPECT_THROW(gptq(torch::zeros({3, 4}), torch::eye(3)), InputError);
}

}  // namespace
}  // namespace tessera::shortgpt
