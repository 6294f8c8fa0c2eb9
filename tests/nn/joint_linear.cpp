#include "tessera/nn/joint_linear.h"

#include <gtest/gtest.h>

#include "tessera/nn/linear.h"

namespace tessera::nn {

TEST(JointLinear, HasTheValuesAndGradientsOfTheLayersOneByOne) {
  torch::manual_seed(3);
  Linear a(6, 4, false), b(6, 5, false), c(6, 2, false);
  for (auto layer : {a, b, c}) torch::nn::init::normal_(layer->weight);
  const auto x = torch::randn({2, 3, 6}).requires_grad_(true), slope = torch::randn({2, 3, 11});
  const auto gradients = [&] {
    std::vector<torch::Tensor> all;
    for (const auto& t : {x, a->weight, b->weight, c->weight}) {
      all.push_back(t.grad().clone());
      t.mutable_grad().reset();
    }
    return all;
  };
  const auto apart = torch::cat({a(x), b(x), c(x)}, -1);
  apart.backward(slope);
  const auto expected = gradients();
  lay_together({a, b, c});
  const auto together = run_together({a, b, c}, x);
  EXPECT_EQ(std::string(together.grad_fn()->name()).find("Cat"), std::string::npos);  // one product, not three
  together.backward(slope);
  const auto ours = gradients();
  EXPECT_TRUE(torch::allclose(together, apart, 1e-5, 1e-6));
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(torch::allclose(ours[i], expected[i], 1e-5, 1e-6)) << i;
}

TEST(JointLinear, TakesTwoLayersAndFrozenOnes) {
  torch::manual_seed(4);
  Linear a(6, 4, false), b(6, 5, false);
  for (auto layer : {a, b}) torch::nn::init::normal_(layer->weight);
  lay_together({a, b});
  const auto x = torch::randn({3, 6}).requires_grad_(true), slope = torch::randn({3, 9});
  run_together({a, b}, x).backward(slope);
  EXPECT_TRUE(torch::allclose(b->weight.grad(), torch::mm(slope.narrow(1, 4, 5).t(), x), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(x.grad(), torch::mm(slope, torch::cat({a->weight, b->weight})), 1e-5, 1e-6));
  for (auto layer : {a, b}) layer->weight.mutable_grad().reset(), layer->weight.set_requires_grad(false);
  run_together({a, b}, x).backward(slope);
  EXPECT_FALSE(a->weight.grad().defined());
}

}  // namespace tessera::nn
