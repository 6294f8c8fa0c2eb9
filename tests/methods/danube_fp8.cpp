// FP8 as OCP's "8-bit floating point specification" (2023) defines it, written again here value by value.

#include "tessera/methods/danube/fp8.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tessera/base/error.h"

namespace tessera::danube {

namespace {

// All finite values >= 0 of a format with that many mantissa bits, by their bits, ascending.
std::vector<double> values_of(Fp8 format) {
  const int mantissa = format == Fp8::e4m3 ? 3 : 2, bias = format == Fp8::e4m3 ? 7 : 15;
  const int codes = format == Fp8::e4m3 ? 0x7f : 0x7c;  // e4m3 gives up one code for NaN, e5m2 a whole exponent
  std::vector<double> all;
  for (int code = 0; code < codes; ++code) {
    const int exponent = code >> mantissa, fraction = code & ((1 << mantissa) - 1);
    all.push_back(exponent == 0 ? std::ldexp(fraction, 1 - bias - mantissa)
                                : std::ldexp((1 << mantissa) + fraction, exponent - bias - mantissa));
  }
  return all;
}

float one(double x, Fp8 format) { return rounded(torch::tensor({static_cast<float>(x)}), format).item<float>(); }

}  // namespace

TEST(Fp8, KeepsEveryValueOfTheFormat) {
  for (const Fp8 format : {Fp8::e4m3, Fp8::e5m2}) {
    const auto values = values_of(format);
    EXPECT_EQ(values.back(), largest(format));
    for (const double value : values) {
      EXPECT_EQ(one(value, format), static_cast<float>(value));
      EXPECT_EQ(one(-value, format), static_cast<float>(-value));
    }
  }
}

TEST(Fp8, RoundsToTheNearestAndTiesToEven) {
  for (const Fp8 format : {Fp8::e4m3, Fp8::e5m2}) {
    const auto values = values_of(format);
    for (size_t i = 0; i + 1 < values.size(); ++i) {
      const double low = values[i], high = values[i + 1], middle = (low + high) / 2;
      const double even = i % 2 == 0 ? low : high;  // the code's last bit is the mantissa's
      EXPECT_EQ(one(middle, format), static_cast<float>(even)) << low << " " << high;
      EXPECT_EQ(one(std::nextafter(static_cast<float>(middle), 0.0F), format), static_cast<float>(low));
      EXPECT_EQ(one(std::nextafter(static_cast<float>(middle), 1e9F), format), static_cast<float>(high));
    }
  }
}

TEST(Fp8, SaturatesAndKeepsNaN) {
  EXPECT_EQ(one(448, Fp8::e4m3), 448.0F);
  for (const double beyond : {449.0, 480.0, 1e30, static_cast<double>(INFINITY)}) {
    EXPECT_EQ(one(beyond, Fp8::e4m3), 448.0F);
    EXPECT_EQ(one(-beyond, Fp8::e4m3), -448.0F);
  }
  for (const double beyond : {57344.0, 61440.0, 1e30, static_cast<double>(INFINITY)}) EXPECT_EQ(one(beyond, Fp8::e5m2), 57344.0F);
  EXPECT_TRUE(std::isnan(one(NAN, Fp8::e4m3)));
  EXPECT_TRUE(std::isnan(one(NAN, Fp8::e5m2)));
}

TEST(Fp8, ErrsAtMostHalfAStepInTheNormalRange) {
  torch::manual_seed(3);
  const auto x = torch::pow(2.0, torch::rand({20000}) * 14.0 - 6.0).clamp_max(448.0);
  EXPECT_LE(((rounded(x, Fp8::e4m3) - x).abs() / x).max().item<double>(), 1.0 / 16);
  EXPECT_LE(((rounded(x, Fp8::e5m2) - x).abs() / x).max().item<double>(), 1.0 / 8);
}

TEST(DelayedScale, ComesFromTheStepsBeforeAndForgets) {
  DelayedScale scale(Fp8::e4m3, 2);
  EXPECT_EQ(scale.scale(), 1.0);
  scale.through(torch::tensor({2.0F, -4.0F}));
  EXPECT_EQ(scale.scale(), 112.0) << "448 / 4";
  const auto clipped = scale.through(torch::tensor({8.0F, 1.0F}));
  EXPECT_EQ(clipped[0].item<float>(), 4.0F) << "the present maximum is not known yet: it saturates";
  EXPECT_EQ(clipped[1].item<float>(), 1.0F);
  EXPECT_EQ(scale.scale(), 56.0) << "448 / 8";
  scale.through(torch::tensor({1.0F}));
  scale.through(torch::tensor({1.0F}));
  EXPECT_EQ(scale.scale(), 448.0) << "two steps later the 8 is forgotten";
}

TEST(DelayedScale, CountsWhatTheFormatCannotHold) {
  DelayedScale scale(Fp8::e4m3, 16);
  scale.through(torch::tensor({448.0F}));
  scale.forget_losses();
  scale.through(torch::tensor({0.0F, 1e-4F, 500.0F, 1.0F}));
  EXPECT_EQ(scale.losses().values, 4);
  EXPECT_EQ(scale.losses().underflow, 1);
  EXPECT_EQ(scale.losses().overflow, 1);
  EXPECT_EQ(scale.losses().underflow_fraction(), 0.25);
}

TEST(DelayedScale, SurvivesZerosAndWhatIsNotFinite) {
  DelayedScale scale(Fp8::e5m2, 4);
  EXPECT_TRUE(scale.through(torch::zeros({3})).eq(0).all().item<bool>());
  EXPECT_EQ(scale.scale(), 1.0);
  scale.through(torch::tensor({INFINITY, 2.0F}));
  EXPECT_TRUE(std::isfinite(scale.scale()));
  EXPECT_THROW(DelayedScale(Fp8::e4m3, 0), InputError);
}

TEST(Fp8Linear, MultipliesWhatTheFormatsHoldForwardAndBackward) {
  torch::manual_seed(5);
  const auto x = torch::randn({2, 3, 8}).requires_grad_(true), w = torch::randn({4, 8}).requires_grad_(true), dy = torch::randn({2, 3, 4});
  const auto scales = std::make_shared<Fp8Scales>();
  const auto y = fp8_linear(x, w, scales);
  y.backward(dy);
  const auto held = [](const torch::Tensor& t, Fp8 format) {
    const double factor = largest(format) / t.abs().max().item<double>();
    return rounded(t.detach() * factor, format) / factor;
  };
  const auto x8 = held(x, Fp8::e4m3), w8 = held(w, Fp8::e4m3), g8 = held(dy, Fp8::e5m2);
  EXPECT_TRUE(torch::allclose(y, at::linear(x8, w8), 1e-6, 1e-6));
  EXPECT_TRUE(torch::allclose(x.grad(), at::matmul(g8, w8), 1e-6, 1e-6));
  EXPECT_TRUE(torch::allclose(w.grad(), at::matmul(g8.view({6, 4}).t(), x8.view({6, 8})), 1e-6, 1e-6));
  EXPECT_FALSE(torch::allclose(y, at::linear(x, w), 1e-4, 1e-4)) << "eight bits lose something";
  EXPECT_EQ(scales->gradient.losses().values, dy.numel());
}

TEST(Fp8Linear, RefusesOtherShapesAndTypes) {
  const auto scales = std::make_shared<Fp8Scales>();
  EXPECT_THROW(fp8_linear(torch::randn({2, 5}), torch::randn({4, 8}), scales), InputError);
  EXPECT_THROW(fp8_linear(torch::randn({2, 8}).to(torch::kBFloat16), torch::randn({4, 8}), scales), InputError);
}

}  // namespace tessera::danube
