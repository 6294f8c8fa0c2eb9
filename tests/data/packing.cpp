#include "tessera/data/packing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tessera/base/random.h"
#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

using Tokens = std::vector<int32_t>;

// Documents of 1 to `longest` tokens; every token of every document is another number.
std::vector<Tokens> documents(size_t count, uint64_t longest) {
  RandomStream random(9, "packing test");
  std::vector<Tokens> all(count);
  int32_t next = 1;
  for (Tokens& document : all)
    for (uint64_t i = 0, n = 1 + random.below(longest); i < n; ++i) document.push_back(next++);
  return all;
}

TEST(Packing, ConcatenatesWithBordersPositionsAndPads) {
  const auto windows = pack(std::vector<Tokens>{{1, 2, 3}, {}, {4, 5, 6, 7}}, {.packing = Packing::concatenate, .window = 5, .pad = -9});
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0].tokens, (Tokens{1, 2, 3, 4, 5}));
  EXPECT_EQ(windows[0].positions, (Tokens{0, 1, 2, 0, 1}));
  EXPECT_EQ(windows[0].lengths, (Tokens{0, 3, 5}));
  EXPECT_EQ(windows[1].tokens, (Tokens{6, 7, -9, -9, -9}));
  EXPECT_EQ(windows[1].positions, (Tokens{0, 1, 0, 0, 0}));
  EXPECT_EQ(document_ids(windows[0]), (Tokens{0, 0, 0, 1, 1}));
  EXPECT_EQ(document_ids(windows[1]), (Tokens{0, 0, -1, -1, -1}));
}

TEST(Packing, FirstFitTakesTheFirstWindowAndBestFitTheTightest) {
  const std::vector<Tokens> all = {Tokens(6, 1), Tokens(7, 2), Tokens(3, 3), Tokens(4, 4)};
  const auto first = pack(all, {.packing = Packing::first_fit, .window = 10});
  ASSERT_EQ(first.size(), 3U);
  EXPECT_EQ(first[0].lengths, (Tokens{0, 6, 9})) << "3 went behind the 6, the first with room, so 7 and 4 stay alone";
  EXPECT_EQ(first[1].lengths, (Tokens{0, 7}));
  const auto best = pack(all, {.packing = Packing::best_fit, .window = 10});
  ASSERT_EQ(best.size(), 2U) << "7 + 3 and 6 + 4";
  EXPECT_EQ(best[0].lengths.back() + best[1].lengths.back(), 20);
}

TEST(Packing, BestFitLooksForTheLeastRoom) {
  const auto windows = pack(std::vector<Tokens>{Tokens(8, 1), Tokens(6, 2), Tokens(2, 3)}, {.packing = Packing::best_fit, .window = 10});
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0].lengths, (Tokens{0, 8, 10})) << "2 fits behind both and fills the 8";
}

TEST(Packing, LosesNoTokenKeepsOrderWithinAndStaysWithinTheWindow) {
  const auto all = documents(500, 150);  // some longer than the window
  for (const auto packing : {Packing::concatenate, Packing::first_fit, Packing::best_fit}) {
    SCOPED_TRACE(static_cast<int>(packing));
    for (const size_t open : {1U, 7U, 1024U}) {
      const auto windows = pack(all, {.packing = packing, .window = 64, .pad = 0, .open = open});
      Tokens seen;
      for (const Window& window : windows) {
        ASSERT_EQ(window.tokens.size(), 64U);
        ASSERT_EQ(window.positions.size(), 64U);
        ASSERT_LE(window.lengths.back(), 64);
        ASSERT_TRUE(std::is_sorted(window.lengths.begin(), window.lengths.end()));
        for (size_t piece = 0; piece + 1 < window.lengths.size(); ++piece)
          for (int32_t i = window.lengths[piece]; i < window.lengths[piece + 1]; ++i) {
            ASSERT_EQ(window.positions[static_cast<size_t>(i)], i - window.lengths[piece]);
            if (i > window.lengths[piece]) {
              ASSERT_EQ(window.tokens[static_cast<size_t>(i)], window.tokens[static_cast<size_t>(i) - 1] + 1);
            }
            seen.push_back(window.tokens[static_cast<size_t>(i)]);
          }
      }
      std::sort(seen.begin(), seen.end());
      size_t tokens = 0;
      for (const Tokens& document : all) tokens += document.size();
      ASSERT_EQ(seen.size(), tokens);
      EXPECT_EQ(seen.front(), 1);
      EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
    }
  }
}

TEST(Packing, BestFitWastesLeast) {
  const auto all = documents(2000, 60);
  const auto windows_of = [&](Packing packing) { return pack(all, {.packing = packing, .window = 64}).size(); };
  EXPECT_LT(windows_of(Packing::best_fit), windows_of(Packing::first_fit) + 1);
  EXPECT_LT(static_cast<double>(windows_of(Packing::best_fit)), 1.02 * static_cast<double>(windows_of(Packing::concatenate)));
}

TEST(Packing, StreamsWithBoundedMemory) {
  Packer packer({.packing = Packing::first_fit, .window = 10, .pad = 0, .open = 4});
  size_t windows = 0;
  for (int i = 0; i < 100; ++i) {
    packer.add(Tokens(6, i + 1));  // none fits beside another
    windows += packer.take().size();
    EXPECT_GE(windows + 4, static_cast<size_t>(i + 1)) << "at most 4 stay open";
  }
  packer.finish();
  EXPECT_EQ(windows + packer.take().size(), 100U);
  EXPECT_TRUE(packer.take().empty());
}

TEST(Packing, CutsDisjointWindowsForScoring) {
  const auto ends = [](const std::vector<Span>& spans) {
    std::vector<std::pair<int64_t, int64_t>> all;
    for (const Span& span : spans) all.emplace_back(span.begin, span.end);
    return all;
  };
  using Ends = std::vector<std::pair<int64_t, int64_t>>;
  EXPECT_EQ(ends(disjoint_windows(10, 4)), (Ends{{0, 4}, {4, 8}, {8, 10}}));
  EXPECT_EQ(ends(disjoint_windows(9, 4)), (Ends{{0, 4}, {4, 8}})) << "one token has no context";
  EXPECT_EQ(ends(disjoint_windows(10, 4, 1)), (Ends{{0, 4}}));
  EXPECT_EQ(ends(disjoint_windows(10, 4, 0, 4)), (Ends{{0, 4}, {4, 8}}));
  EXPECT_EQ(ends(disjoint_windows(9, 4, 0, 1)), (Ends{{0, 4}, {4, 8}})) << "whatever the shortest";
  EXPECT_TRUE(disjoint_windows(0, 4).empty());
  EXPECT_NE(input_error([] { disjoint_windows(10, 1); }).find("a window of 1 tokens scores nothing"), std::string::npos);
}

TEST(Packing, RefusesAnEmptyWindow) {
  EXPECT_EQ(input_error([] { Packer({.packing = Packing::concatenate, .window = 0}); }),
            "a window of 0 tokens cannot be packed; give 1 to 2147483647");
}

}  // namespace
}  // namespace tessera::data
