#include "tessera/kernels/gated_activation.h"

#include "tessera/base/error.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

static torch::Tensor gated_by_definition(const torch::Tensor& x, Gate gate) {
  const auto halves = x.chunk(2, -1);
  return (gate == Gate::silu ? torch::silu(halves[0]) : torch::gelu(halves[0], "tanh")) * halves[1];
}

TEST(GatedActivation, ErrsAtMostTwiceAsMuchAsItsDefinition) {
  torch::NoGradGuard no_grad;
  on_every_target([] {
    for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      for (auto gate : {Gate::silu, Gate::gelu_tanh}) {
        for (int64_t width : {1, 5, 16, 31, 33, 100}) {
          torch::manual_seed(width);
          const auto x = (torch::randn({7, 2 * width}) * 4).to(dtype);
          expect_close(gated_activation(x, gate), gated_by_definition(x, gate), gated_by_definition(x.to(torch::kDouble), gate));
        }
      }
    }
  });
}

TEST(GatedActivation, StaysFiniteForHugeGates) {
  torch::NoGradGuard no_grad;
  const auto x = torch::tensor({-1e4F, -200.0F, 200.0F, 1e4F, 1.0F, 1.0F, 1.0F, 1.0F});
  for (auto gate : {Gate::silu, Gate::gelu_tanh}) {
    const auto y = gated_activation(x, gate);
    EXPECT_TRUE(torch::allclose(y, torch::tensor({0.0F, 0.0F, 200.0F, 1e4F}))) << y;
  }
}

TEST(GatedActivation, RefusesWhatItCannotTake) {
  torch::NoGradGuard no_grad;
  EXPECT_THROW(gated_activation(torch::randn({2, 7}), Gate::silu), InputError);
  EXPECT_FALSE(gated_activation_takes(torch::randn({8, 4}).t()));
}

}  // namespace tessera::kernels
