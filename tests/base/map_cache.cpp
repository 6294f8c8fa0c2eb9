#include "tessera/base/map_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace tessera {

namespace {

constexpr size_t kMiB = size_t{1} << 20;

}  // namespace

TEST(MapCache, ABlockIsUsableAndTakenAgainForItsSize) {
  MapCache maps;
  void* first = maps.take(3 * kMiB + 5);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0U);
  std::memset(first, 7, 3 * kMiB + 5);
  EXPECT_GE(maps.in_use(), 3 * kMiB + 5);
  EXPECT_TRUE(maps.give_back(first));
  EXPECT_EQ(maps.in_use(), 0U);
  EXPECT_EQ(maps.take(3 * kMiB), first);  // a little smaller will do
  EXPECT_EQ(maps.kept(), 0U);
}

TEST(MapCache, AMuchSmallerRequestTakesAMapOfItsOwn) {
  MapCache maps;
  void* large = maps.take(16 * kMiB);
  maps.give_back(large);
  EXPECT_NE(maps.take(8 * kMiB), large);
  EXPECT_EQ(maps.in_use(), 8 * kMiB);
}

TEST(MapCache, KeptBlocksHardlyRaiseTheMostThatWasInUse) {
  MapCache maps;
  std::vector<void*> blocks(8);
  for (auto& block : blocks) block = maps.take(8 * kMiB);
  for (auto* block : blocks) EXPECT_TRUE(maps.give_back(block));
  EXPECT_EQ(maps.kept(), 64 * kMiB);
  for (int i = 0; i < 4; ++i) {
    maps.take(12 * kMiB);
    EXPECT_LE(maps.in_use() + maps.kept(), (64 + 20) * kMiB);
  }
  EXPECT_EQ(maps.kept(), 32 * kMiB);  // the oldest went
  EXPECT_EQ(maps.take(8 * kMiB), blocks[7]);
}

TEST(MapCache, WhatWasNotTakenHereIsRefused) {
  MapCache maps;
  int local = 0;
  EXPECT_FALSE(maps.give_back(&local));
  EXPECT_FALSE(maps.give_back(reinterpret_cast<void*>(2 * kMiB)));
  void* block = maps.take(kMiB);
  EXPECT_TRUE(maps.give_back(block));
  EXPECT_FALSE(maps.give_back(block));
}

TEST(MapCache, WhatNoMachineHasIsBadAlloc) {
  MapCache maps;
  EXPECT_THROW(maps.take(size_t{1} << 60), std::bad_alloc);
  EXPECT_THROW(maps.take(SIZE_MAX - kMiB), std::bad_alloc);
  EXPECT_EQ(maps.in_use(), 0U);
}

TEST(MapCache, ThreadsShareIt) {
  MapCache maps;
  const auto work = [&](char mark) {
    for (int i = 0; i < 200; ++i) {
      auto* block = static_cast<char*>(maps.take(kMiB));
      *block = mark;
      std::this_thread::yield();
      EXPECT_EQ(*block, mark);
      EXPECT_TRUE(maps.give_back(block));
    }
  };
  std::thread other(work, 'a');
  work('b');
  other.join();
  EXPECT_EQ(maps.in_use(), 0U);
  EXPECT_LE(maps.kept(), 3 * kMiB);
}

}  // namespace tessera
