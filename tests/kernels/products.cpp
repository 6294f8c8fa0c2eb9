#include "tessera/kernels/products.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace tessera::kernels {

namespace {

// The error of a float32 product of n terms is far below this share of its greatest entry.
void expect_product(const torch::Tensor& ours, const torch::Tensor& exact) {
  ASSERT_EQ(ours.sizes(), exact.sizes());
  EXPECT_LE((ours.to(torch::kDouble) - exact).abs().max().item<double>(), 1e-5 * exact.abs().max().item<double>());
}

torch::Tensor wide(const torch::Tensor& t) { return t.to(torch::kDouble); }

}  // namespace

struct Products : testing::Test {
  Products() {
    take_float_products();
    torch::manual_seed(3);
  }
};

TEST_F(Products, EveryLayoutAndSizeGivesTheProduct) {
  for (const auto& [m, k, n] :
       std::vector<std::array<int64_t, 3>>{{1, 576, 192}, {64, 33, 70}, {7, 300, 1000}, {2, 3, 4}, {0, 5, 6}, {5, 0, 6}}) {
    const auto a = torch::randn({m, k}), b = torch::randn({k, n});
    const auto turned = b.t().contiguous().t(), padded = torch::randn({k, n + 3}).narrow(1, 1, n);
    for (const auto& right : {b, turned, padded}) {
      if (m * k * n == 0) {
        EXPECT_EQ(torch::mm(a, right).sizes(), torch::IntArrayRef({m, n}));
        continue;
      }
      expect_product(torch::mm(a, right), torch::mm(wide(a), wide(right)));
      expect_product(torch::mm(a.t().contiguous().t(), right), torch::mm(wide(a), wide(right)));
      auto out = torch::full({m, n}, 5.0F);
      torch::mm_out(out, a, right);
      expect_product(out, torch::mm(wide(a), wide(right)));
    }
  }
}

TEST_F(Products, BatchesBiasesAndSumsGiveTheProduct) {
  const auto a = torch::randn({6, 40, 64}), b = torch::randn({6, 64, 50});
  expect_product(torch::bmm(a, b), torch::bmm(wide(a), wide(b)));
  expect_product(torch::bmm(b.transpose(1, 2), a.transpose(1, 2)), torch::bmm(wide(b).transpose(1, 2), wide(a).transpose(1, 2)));
  expect_product(torch::bmm(a, b[0].expand({6, 64, 50})), torch::bmm(wide(a), wide(b[0]).expand({6, 64, 50})));
  const auto bias = torch::randn({50}), sum = torch::randn({40, 50});
  expect_product(torch::addmm(bias, a[0], b[0]), wide(bias) + torch::mm(wide(a[0]), wide(b[0])));
  expect_product(torch::addmm(sum, a[0], b[0], 0.5, 2.0), 0.5 * wide(sum) + 2.0 * torch::mm(wide(a[0]), wide(b[0])));
  auto grown = sum.clone();
  grown.addmm_(a[0], b[0]);
  expect_product(grown, wide(sum) + torch::mm(wide(a[0]), wide(b[0])));
}

TEST_F(Products, GradientsOfALinearLayerAreItsProducts) {
  const auto x = torch::randn({3, 32, 64}, torch::requires_grad()), w = torch::randn({80, 64}, torch::requires_grad()),
             dy = torch::randn({3, 32, 80});
  at::linear(x, w).backward(dy);
  const auto flat = [](const torch::Tensor& t) { return wide(t.detach()).reshape({-1, t.size(-1)}); };
  expect_product(w.grad(), torch::mm(flat(dy).t(), flat(x)));
  expect_product(x.grad().reshape({-1, 64}), torch::mm(flat(dy), wide(w.detach())));
}

TEST_F(Products, MatricesThatDoNotFitAreRefusedAsBefore) {
  EXPECT_THROW(torch::mm(torch::randn({64, 64}), torch::randn({65, 64})), c10::Error);
  EXPECT_THROW(torch::bmm(torch::randn({2, 64, 64}), torch::randn({3, 64, 64})), c10::Error);
  EXPECT_THROW(torch::addmm(torch::randn({3}), torch::randn({64, 64}), torch::randn({64, 64})), c10::Error);
  EXPECT_THROW(torch::mm(torch::randn({64, 64}), torch::randn({64, 64}, torch::kDouble)), c10::Error);
}

}  // namespace tessera::kernels
