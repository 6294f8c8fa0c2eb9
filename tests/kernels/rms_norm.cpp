#include "tessera/kernels/rms_norm.h"

#include "tessera/base/error.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

static torch::Tensor rms_by_definition(const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset) {
  return x * torch::rsqrt(x.square().mean(-1, true) + eps) * (weight + offset);
}

TEST(RmsNorm, ErrsAtMostTwiceAsMuchAsItsDefinition) {
  torch::NoGradGuard no_grad;
  on_every_target([] {
    for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      for (int64_t width : {1, 7, 16, 31, 33, 64, 576}) {
        torch::manual_seed(width);
        const auto x = torch::randn({3, 5, width}).to(dtype), weight = torch::randn({width}).to(dtype);
        const auto exact = rms_by_definition(x.to(torch::kDouble), weight.to(torch::kDouble), 1e-5, 1.0);
        expect_close(rms_norm(x, weight, 1e-5, 1.0), rms_by_definition(x, weight, 1e-5, 1.0), exact);
      }
    }
  });
}

TEST(RmsNorm, TakesTheHeadsOfAJointProductAsTheyLie) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  const auto joined = torch::randn({2, 3, 6, 20}), weight = torch::randn({20});
  const auto heads = joined.narrow(2, 1, 4);  // not dense
  ASSERT_TRUE(rms_norm_takes(heads, weight));
  EXPECT_TRUE(torch::equal(rms_norm(heads, weight, 1e-6, 0.0), rms_norm(heads.contiguous(), weight, 1e-6, 0.0)));
  EXPECT_FALSE(rms_norm_takes(joined.transpose(0, 1).narrow(2, 1, 4), weight)) << "rows at irregular distances";
}

TEST(RmsNorm, AddsTheBranchToTheStreamAndNormsTheSum) {
  torch::NoGradGuard no_grad;
  for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    torch::manual_seed(2);
    const auto stream = torch::randn({2, 9, 50}).to(dtype), branch = torch::randn({2, 9, 50}).to(dtype),
               weight = torch::randn({50}).to(dtype);
    auto moved = stream.clone();
    const auto y = add_rms_norm(moved, branch, weight, 1e-5, 0.0);
    EXPECT_TRUE(torch::equal(moved, stream + branch));
    EXPECT_TRUE(torch::equal(y, rms_norm(moved, weight, 1e-5, 0.0)));
  }
}

TEST(RmsNorm, GivesTheSameForEveryNumberOfThreads) {
  torch::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  const auto x = torch::randn({400, 200}), weight = torch::randn({200});
  at::set_num_threads(1);
  const auto one = rms_norm(x, weight, 1e-5, 0.0);
  at::set_num_threads(7);
  EXPECT_TRUE(torch::equal(one, rms_norm(x, weight, 1e-5, 0.0)));
  at::set_num_threads(before);
}

TEST(RmsNorm, RefusesWhatItCannotTake) {
  const auto x = torch::randn({2, 8}), weight = torch::ones({8});
  EXPECT_FALSE(rms_norm_takes(x, weight)) << "a gradient would be lost";
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(rms_norm_takes(x, weight));
  EXPECT_THROW(rms_norm(x, torch::ones({7}), 1e-5, 0.0), InputError);
  EXPECT_THROW(rms_norm(x.to(torch::kDouble), weight, 1e-5, 0.0), InputError);
  EXPECT_THROW(add_rms_norm(x, torch::randn({2, 7}), weight, 1e-5, 0.0), InputError);
}

}  // namespace tessera::kernels
