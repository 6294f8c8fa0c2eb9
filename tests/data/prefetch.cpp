#include "tessera/data/prefetch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>

namespace tessera::data {
namespace {

using std::chrono::microseconds;

TEST(Prefetch, KeepsTheOrderForEveryNumberOfThreads) {
  for (const size_t threads : {1U, 2U, 5U}) {
    Prefetch<uint64_t> items(
        [](uint64_t i) -> std::optional<uint64_t> {
          std::this_thread::sleep_for(microseconds((i * 37) % 200));
          return i < 200 ? std::optional(i * i) : std::nullopt;
        },
        {.ahead = 8, .threads = threads});
    for (uint64_t i = 0; i < 200; ++i) ASSERT_EQ(items.next(), i * i);
    EXPECT_EQ(items.next(), std::nullopt);
    EXPECT_EQ(items.next(), std::nullopt) << "and stays there";
  }
}

TEST(Prefetch, NeverRunsFurtherAheadThanAskedFor) {
  std::atomic<uint64_t> taken = 0, furthest = 0;
  Prefetch<int> items(
      [&](uint64_t i) -> std::optional<int> {
        uint64_t ahead = i - taken;
        for (uint64_t seen = furthest; seen < ahead && !furthest.compare_exchange_weak(seen, ahead);) {
        }
        return i < 300 ? std::optional(1) : std::nullopt;
      },
      {.ahead = 3, .threads = 4});
  while (items.next()) ++taken;
  EXPECT_LE(furthest, 3U) << "item `taken` counts as asked for";
  EXPECT_GE(furthest, 1U) << "it did work ahead";
}

TEST(Prefetch, PassesAnExceptionInItsPlaceAndEnds) {
  for (const size_t threads : {1U, 4U}) {
    Prefetch<int> items(
        [](uint64_t i) -> std::optional<int> {
          if (i == 5) throw std::runtime_error("row 5 is broken");
          return static_cast<int>(i);
        },
        {.ahead = 4, .threads = threads});
    for (int i = 0; i < 5; ++i) ASSERT_EQ(items.next(), i);
    EXPECT_THROW(items.next(), std::runtime_error);
    EXPECT_EQ(items.next(), std::nullopt);
  }
}

TEST(Prefetch, StopsCleanlyWhenTheConsumerLeavesEarly) {
  std::atomic<int> made = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    Prefetch<std::unique_ptr<int>> items(
        [&](uint64_t) -> std::optional<std::unique_ptr<int>> {
          ++made;
          return std::make_unique<int>(1);
        },
        {.ahead = 2, .threads = 3});
    ASSERT_TRUE(items.next().has_value());
  }
  EXPECT_LE(made, 4) << "one taken, two ahead, and the maker that waited for its place";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(Prefetch, GoesOnWhileTheConsumerIsBusy) {
  std::atomic<uint64_t> made = 0;
  Prefetch<uint64_t> items(
      [&](uint64_t i) -> std::optional<uint64_t> {
        ++made;
        return i;
      },
      {.ahead = 4, .threads = 1});
  for (int i = 0; i < 1000 && made < 4; ++i) std::this_thread::sleep_for(microseconds(1000));
  EXPECT_EQ(made, 4U);
}

}  // namespace
}  // namespace tessera::data
