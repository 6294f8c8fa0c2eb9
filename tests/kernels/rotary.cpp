#include "tessera/kernels/rotary.h"

#include "tessera/base/error.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

static torch::Tensor rotary_by_definition(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  const auto halves = x.chunk(2, 3);
  const auto c = cos.unsqueeze(2), s = sin.unsqueeze(2);
  return torch::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, 3);
}

TEST(Rotary, ErrsAtMostTwiceAsMuchAsItsDefinition) {
  torch::NoGradGuard no_grad;
  on_every_target([] {
    for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      for (int64_t half : {1, 3, 8, 16, 17, 32}) {
        torch::manual_seed(half);
        const auto x = torch::randn({2, 5, 3, 2 * half}).to(dtype), angle = torch::randn({2, 5, half}) * 10;
        const auto wide = x.to(torch::kDouble);
        const auto exact = rotary_by_definition(wide, angle.cos().to(torch::kDouble), angle.sin().to(torch::kDouble));
        const auto plain = rotary_by_definition(x, angle.cos().to(dtype), angle.sin().to(dtype));
        expect_close(rotary(x, angle.cos(), angle.sin()), plain, exact);
      }
    }
  });
}

TEST(Rotary, TakesAnyStridesAndOneTableForAllSequences) {
  torch::NoGradGuard no_grad;
  const auto x = torch::randn({3, 4, 6, 10}), angle = torch::randn({1, 4, 5});
  const auto heads = x.narrow(2, 2, 3), swapped = x.transpose(1, 2).contiguous().transpose(1, 2);
  EXPECT_TRUE(torch::equal(rotary(heads, angle.cos(), angle.sin()), rotary(heads.contiguous(), angle.cos(), angle.sin())));
  EXPECT_TRUE(torch::equal(rotary(swapped, angle.cos(), angle.sin()),
                           rotary(x, angle.cos().expand({3, 4, 5}).contiguous(), angle.sin().expand({3, 4, 5}).contiguous())));
}

TEST(Rotary, RefusesWhatItCannotTake) {
  torch::NoGradGuard no_grad;
  const auto x = torch::randn({2, 4, 3, 8});
  EXPECT_THROW(rotary(x, torch::randn({1, 4, 3}), torch::randn({1, 4, 3})), InputError);
  EXPECT_THROW(rotary(x, torch::randn({1, 5, 4}), torch::randn({1, 5, 4})), InputError);
  EXPECT_FALSE(rotary_takes(x.transpose(2, 3)));
}

}  // namespace tessera::kernels
