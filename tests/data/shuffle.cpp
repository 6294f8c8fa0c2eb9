#include "tessera/data/shuffle.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

std::vector<uint64_t> order_of(const Shuffle& shuffle) {
  std::vector<uint64_t> order(shuffle.size());
  for (uint64_t i = 0; i < order.size(); ++i) order[i] = shuffle(i);
  return order;
}

TEST(Shuffle, IsAPermutationWithItsInverseForEverySize) {
  for (const uint64_t size : {1U, 2U, 3U, 4U, 5U, 16U, 17U, 63U, 64U, 65U, 1000U, 4097U}) {
    const Shuffle shuffle(size, 11, 2);
    std::vector<bool> seen(size);
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t row = shuffle(i);
      ASSERT_LT(row, size);
      ASSERT_FALSE(seen[row]) << size << " rows: " << row << " twice";
      seen[row] = true;
      ASSERT_EQ(shuffle.position(row), i);
    }
  }
}

TEST(Shuffle, DependsOnSeedAndEpochAlone) {
  EXPECT_EQ(order_of(Shuffle(500, 1, 0)), order_of(Shuffle(500, 1, 0)));
  EXPECT_NE(order_of(Shuffle(500, 1, 0)), order_of(Shuffle(500, 1, 1)));
  EXPECT_NE(order_of(Shuffle(500, 1, 0)), order_of(Shuffle(500, 2, 0)));
}

// Each row lands at each of 8 positions about equally often over the epochs, and neighbours do not stay together.
TEST(Shuffle, SpreadsRowsEvenly) {
  constexpr uint64_t size = 8, epochs = 4000;
  std::vector<std::vector<int>> counts(size, std::vector<int>(size));
  int neighbours = 0;
  for (uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const auto order = order_of(Shuffle(size, 3, epoch));
    for (uint64_t i = 0; i < size; ++i) ++counts[i][order[i]];
    for (uint64_t i = 1; i < size; ++i) neighbours += order[i] == order[i - 1] + 1;
  }
  for (const auto& row : counts)
    for (const int count : row) EXPECT_NEAR(count, epochs / size, 6 * 21) << "6 standard deviations of a binomial count";
  EXPECT_NEAR(neighbours / double(epochs), 7.0 / 8, 0.1) << "7 pairs, each follows its neighbour with probability 1/8";
}

TEST(Shuffle, ReachesAnyPositionOfHugeSets) {
  const Shuffle shuffle(uint64_t{1} << 61, 5, 0);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(shuffle.position(shuffle(i * 1'234'567'891'234)), i * 1'234'567'891'234);
}

TEST(Shuffle, RefusesWhatIsOutside) {
  EXPECT_EQ(input_error([] { Shuffle(10, 1, 0)(10); }), "position 10 of a shuffle of 10 rows; give one below 10");
  EXPECT_NE(input_error([] { Shuffle(uint64_t{1} << 63, 1, 0); }), "");
  EXPECT_NE(input_error([] { Shuffle(0, 1, 0)(0); }), "");
}

}  // namespace
}  // namespace tessera::data
