#include "tessera/methods/danube/retokenize.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"

namespace tessera::danube {

TEST(Retokenize, AnEqualVocabularyIsTheIdentity) {
  const std::vector<std::string> pieces{"a", " b", "<0x41>", "c"};
  const auto from = match_pieces(pieces, pieces);
  const auto table = torch::randn({4, 3});
  EXPECT_EQ(mapped_fraction(from), 1.0);
  EXPECT_TRUE(retokenized(table, from, 0.02, 1, "embed").equal(table));
}

TEST(Retokenize, APermutedVocabularyPermutesTheRows) {
  const auto from = match_pieces({"a", "b", "c", "d"}, {"c", "a", "d", "b"});
  EXPECT_EQ(from, (std::vector<int64_t>{2, 0, 3, 1}));
  const auto table = torch::randn({4, 3});
  EXPECT_TRUE(retokenized(table, from, 0.02, 1, "embed").equal(table.index_select(0, torch::tensor({2, 0, 3, 1}))));
}

TEST(Retokenize, NewPiecesAreDrawnAndDependOnTheirOwnRowAlone) {
  const auto from = match_pieces({"a", "b", "", "a"}, {"x", "a", "", "y"});
  EXPECT_EQ(from, (std::vector<int64_t>{-1, 0, -1, -1})) << "the lowest id; empty texts match nothing";
  EXPECT_EQ(mapped_fraction(from), 0.25);
  const auto table = torch::randn({4, 4000});
  const auto made = retokenized(table, from, 0.02, 1, "embed");
  EXPECT_NEAR(made[0].std().item<double>(), 0.02, 0.002);
  EXPECT_NEAR(made[0].mean().item<double>(), 0.0, 0.002);
  EXPECT_TRUE(made[1].equal(table[0]));
  EXPECT_FALSE(made[0].equal(made[3]));
  EXPECT_TRUE(retokenized(table, {0, -1, -1, -1}, 0.02, 1, "embed")[3].equal(made[3]));
  EXPECT_FALSE(retokenized(table, from, 0.02, 1, "head")[0].equal(made[0]));
  EXPECT_THROW(retokenized(table, {4}, 0.02, 1, "embed"), InputError);
}

}  // namespace tessera::danube
