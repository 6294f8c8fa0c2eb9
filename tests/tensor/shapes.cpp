#include "tessera/tensor/shapes.h"

#include <gmock/gmock.h>

#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using tensor_test::refusal;

TEST(Shapes, DimsGivesTheSizesOrNamesTheOperand) {
  const auto q = torch::zeros({2, 3, 5});
  const auto [b, n, d] = dims<3>(q, "q");
  EXPECT_EQ(b * 100 + n * 10 + d, 235);
  EXPECT_EQ(refusal([&] { dims<4>(q, "q"); }), "q has the shape [2, 3, 5], 4 dimensions are expected, not 3");
  EXPECT_EQ(refusal([&] { dims<1>(torch::Tensor(), "mask"); }), "mask is an undefined tensor, 1 dimensions are expected; give it a value");
}

TEST(Shapes, CheckShapeTakesMinusOneForAnySize) {
  const auto k = torch::zeros({2, 3});
  check_shape(k, {2, -1}, "k");
  EXPECT_EQ(refusal([&] { check_shape(k, {-1, 4}, "k"); }), "k has the shape [2, 3], [-1, 4] is expected (-1: any size)");
  EXPECT_NE(refusal([&] { check_shape(k, {2, 3, 1}, "k"); }), "");
}

}  // namespace
