#include "tessera/kernels/linear.h"

#include <ATen/Parallel.h>

#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

TEST(Linear, AFewRowsErrAtMostTwiceAsMuchAsTheLibrary) {
  torch::NoGradGuard no_grad;
  on_every_target([] {
    for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      for (int64_t rows : {1, 2, 3}) {
        for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {7, 3}, {33, 18}, {64, 31}, {576, 97}}) {
          torch::manual_seed(rows * in);
          const auto x = torch::randn({rows, in}).to(dtype), weight = torch::randn({out, in}).to(dtype),
                     bias = torch::randn({out}).to(dtype);
          const auto wide = [](const torch::Tensor& t) { return t.to(torch::kDouble); };
          expect_close(kernels::linear(x, weight), at::linear(x, weight), at::linear(wide(x), wide(weight)));
          expect_close(kernels::linear(x, weight, bias), at::linear(x, weight, bias), at::linear(wide(x), wide(weight), wide(bias)));
        }
      }
    }
  });
}

TEST(Linear, ShapesLayoutsAndGradientsAreTheLibrarys) {
  const auto x = torch::randn({2, 1, 24}), weight = torch::randn({10, 24}), bias = torch::randn({10});
  const auto wide = torch::randn({6, 30});
  {
    torch::NoGradGuard no_grad;
    EXPECT_EQ(kernels::linear(x, weight, bias).sizes(), torch::IntArrayRef({2, 1, 10}));
    EXPECT_EQ(kernels::linear(x[0][0], weight).sizes(), torch::IntArrayRef({10}));
    EXPECT_EQ(kernels::linear(x.narrow(0, 0, 0), weight).sizes(), torch::IntArrayRef({0, 1, 10}));
    EXPECT_TRUE(torch::allclose(kernels::linear(wide.narrow(1, 3, 24), weight), at::linear(wide.narrow(1, 3, 24), weight), 1e-5, 1e-5));
    EXPECT_TRUE(torch::allclose(kernels::linear(x, torch::randn({24, 10}).copy_(weight.t()).t()), at::linear(x, weight), 1e-5, 1e-5));
    EXPECT_THROW(kernels::linear(x, torch::randn({10, 23})), c10::Error);
  }
  EXPECT_TRUE(kernels::linear(x.clone().set_requires_grad(true), weight).requires_grad());
}

TEST(Linear, EveryNumberOfThreadsGivesTheSameBits) {
  torch::NoGradGuard no_grad;
  const auto x = torch::randn({2, 1024}), weight = torch::randn({1000, 1024});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = kernels::linear(x, weight);
  at::set_num_threads(3);
  EXPECT_TRUE(torch::equal(kernels::linear(x, weight), alone));
  at::set_num_threads(threads);
}

}  // namespace tessera::kernels
