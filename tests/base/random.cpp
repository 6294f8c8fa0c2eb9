#include "tessera/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace tessera {

TEST(RandomStream, IsAFunctionOfSeedNameAndPosition) {
  RandomStream a(7, "shuffle"), b(7, "shuffle"), other_name(7, "shuffle2"), other_seed(8, "shuffle");
  std::vector<uint64_t> drawn;
  for (int i = 0; i < 100; ++i) drawn.push_back(a.bits());
  for (const uint64_t x : drawn) {
    EXPECT_EQ(b.bits(), x);
    EXPECT_NE(other_name.bits(), x);
    EXPECT_NE(other_seed.bits(), x);
  }
  a.seek(40);
  EXPECT_EQ(a.bits(), drawn[40]);
  EXPECT_EQ(a.position(), 41u);
}

TEST(RandomStream, IsPhilox4x32WithTheNamesHashInTheUpperCounterWords) {
  // From an independent implementation, itself checked with Random123's known answer (counter 0, key 0: 6627e8d5 e169c58d bc57ac4c
  // 9b00dbd8).
  RandomStream stream(7, "shuffle");
  EXPECT_EQ(stream.bits(), 0xd90afa5b02f957b0u);
  EXPECT_EQ(stream.bits(), 0x0494d22c0a9f505cu);
  stream.seek(uint64_t{1} << 33);
  EXPECT_EQ(stream.bits(), 0xde6c19b68f4b6db3u);
}

TEST(RandomStream, ItsItemsDoNotDependOnWhatWasDrawnBefore) {
  RandomStream a(1, "dropout"), b(1, "dropout");
  for (int i = 0; i < 10; ++i) b.bits();
  RandomStream item_a = a.at(5), item_b = b.at(5), next = a.at(6);
  const uint64_t x = item_a.bits();
  EXPECT_EQ(x, item_b.bits());
  EXPECT_NE(x, next.bits());
}

TEST(RandomStream, UniformsAndNormalsHaveTheirMoments) {
  RandomStream stream(3, "moments");
  constexpr int n = 200'000;
  double sum = 0, squares = 0, normals = 0, normal_squares = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double u = stream.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
    const double z = stream.normal();
    normals += z;
    normal_squares += z * z;
    fourth += z * z * z * z;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.004);  // 6 standard errors
  EXPECT_NEAR(squares / n, 1.0 / 3, 0.005);
  EXPECT_NEAR(normals / n, 0.0, 0.014);
  EXPECT_NEAR(normal_squares / n, 1.0, 0.02);
  EXPECT_NEAR(fourth / n, 3.0, 0.15);
}

TEST(RandomStream, BelowIsUnbiasedAndReachesBothEnds) {
  RandomStream stream(4, "below");
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[stream.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 600);
  EXPECT_EQ(stream.below(1), 0u);
}

TEST(RandomStream, ShuffleKeepsEveryItemAndMovesThem) {
  std::vector<int> items(1000);
  std::iota(items.begin(), items.end(), 0);
  const auto sorted = items;
  RandomStream(5, "shuffle").shuffle(std::span<int>(items));
  EXPECT_NE(items, sorted);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, sorted);
}

}  // namespace tessera
