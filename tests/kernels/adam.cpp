#include "tessera/kernels/adam.h"

#include "tessera/base/error.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

// The update as the paper writes it, in the dtype of its inputs; moves all four.
static void adam_by_definition(AdamItem& item, const AdamRule& rule) {
  auto& [value, grad, m, v, root_scale, step, keep, keep_after] = item;
  m.mul_(rule.beta1).add_(grad, 1.0 - rule.beta1);
  v.mul_(rule.beta2).addcmul_(grad, grad, 1.0 - rule.beta2);
  const auto direction = m / (v.sqrt() * root_scale + rule.eps);
  if (!keep_after) value.mul_(keep);
  value.sub_(direction * step);
  if (keep_after) value.mul_(keep);
}

static AdamItem random_item(int64_t n, bool keep_after, uint64_t seed) {
  torch::manual_seed(seed);
  return {.value = torch::randn({n}),
          .grad = torch::randn({n}),
          .exp_avg = torch::randn({n}) * 0.1,
          .exp_avg_sq = torch::rand({n}),
          .root_scale = 1.7,
          .step = 0.01,
          .keep = 0.9,
          .keep_after = keep_after};
}

static AdamItem item_as(const AdamItem& item, torch::Dtype dtype) {
  auto copy = item;
  for (auto* each : {&copy.value, &copy.grad, &copy.exp_avg, &copy.exp_avg_sq}) *each = each->to(dtype).clone();
  return copy;
}

TEST(Adam, ErrsAtMostTwiceAsMuchAsItsDefinition) {
  const AdamRule rule{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3};
  on_every_target([&] {
    for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      for (int64_t n : {1, 7, 16, 31, 33, 40'000}) {
        for (bool keep_after : {false, true}) {
          const auto start = item_as(random_item(n, keep_after, n), dtype);
          auto exact = item_as(start, torch::kDouble), plain = item_as(start, dtype);
          const auto ours = item_as(start, dtype);
          adam_by_definition(exact, rule);
          adam_by_definition(plain, rule);
          adam_step({&ours, 1}, rule);
          expect_close(ours.value, plain.value, exact.value);
          expect_close(ours.exp_avg, plain.exp_avg, exact.exp_avg);
          expect_close(ours.exp_avg_sq, plain.exp_avg_sq, exact.exp_avg_sq);
        }
      }
    }
  });
}

TEST(Adam, MixesDtypesOfValueGradientAndMoments) {
  auto exact = random_item(100, false, 5);
  exact.grad = exact.grad.to(torch::kBFloat16).to(torch::kFloat32);
  auto mixed = item_as(exact, torch::kFloat32);
  mixed.grad = mixed.grad.to(torch::kBFloat16);
  adam_step({&exact, 1}, {});
  adam_step({&mixed, 1}, {});
  EXPECT_TRUE(torch::equal(exact.value, mixed.value)) << "a bfloat16 gradient is read as it is";
  EXPECT_EQ(mixed.value.scalar_type(), torch::kFloat32);
}

TEST(Adam, WritesTheDirectionOverTheGradientWhenNothingMoves) {
  auto moved = random_item(70, false, 6);
  moved.step = 1.0;
  moved.keep = 1.0;
  auto still = item_as(moved, torch::kFloat32);
  const auto before = moved.value.clone();
  still.value = torch::Tensor();
  adam_step({&moved, 1}, {});
  adam_step({&still, 1}, {});
  EXPECT_TRUE(torch::allclose(before - moved.value, still.grad, 1e-4, 1e-5));
  EXPECT_TRUE(torch::equal(moved.exp_avg, still.exp_avg));
}

TEST(Adam, GivesTheSameBitsForEverySplitAndThreadCount) {
  const int before = at::get_num_threads();
  std::vector<AdamItem> together, apart;
  for (int64_t n : {33'000, 5, 70'001}) {
    together.push_back(random_item(n, false, n));
    apart.push_back(item_as(together.back(), torch::kFloat32));
  }
  at::set_num_threads(1);
  adam_step(together, {});
  at::set_num_threads(7);
  for (const auto& item : apart) adam_step({&item, 1}, {});
  at::set_num_threads(before);
  for (size_t i = 0; i < apart.size(); ++i) EXPECT_TRUE(torch::equal(together[i].value, apart[i].value)) << i;
}

TEST(Adam, RefusesTensorsThatDisagree) {
  auto item = random_item(8, false, 1);
  item.exp_avg = torch::zeros({7});
  EXPECT_THROW(adam_step({&item, 1}, {}), InputError);
  item = random_item(8, false, 1);
  item.exp_avg = item.exp_avg.to(torch::kBFloat16);
  EXPECT_THROW(adam_step({&item, 1}, {}), InputError);
  item = random_item(8, false, 1);
  item.value = item.value.to(torch::kDouble);
  EXPECT_THROW(adam_step({&item, 1}, {}), InputError);
}

}  // namespace tessera::kernels
