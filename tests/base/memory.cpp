#include "tessera/base/memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace tessera {

TEST(ProcessMemory, SeesWhatIsHeldAndRemembersThePeak) {
  constexpr int64_t bytes = int64_t{64} << 20;
  const auto before = process_memory();
  ASSERT_GT(before.resident, 0);
  {
    const std::vector<char> held(bytes, 1);
    EXPECT_GE(process_memory().resident, before.resident + bytes * 9 / 10) << held[bytes / 2];
  }
  const auto after = process_memory();
  EXPECT_GE(after.peak, before.resident + bytes * 9 / 10);
  EXPECT_LE(after.resident, after.peak);
}

}  // namespace tessera
