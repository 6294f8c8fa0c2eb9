#include "tessera/base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"

namespace tessera {

TEST(Progress, ALineHasShareRateTimeLeftAndMetric) {
  Progress progress({}, "scoring", 4000, "tokens");
  progress.update(1000, "perplexity 21.4");
  EXPECT_EQ(progress.line(10.0), "scoring   25 %  1.00k/4.00k tokens  100/s  30 s left");
}

TEST(Progress, ALogGetsPlainLinesAndNoControlCharacters) {
  std::FILE* file = std::tmpfile();
  {
    Progress progress({.file = file, .interval = std::chrono::milliseconds(20)}, "packing", 3, "files");
    progress.update(1, "ok");  // too early for a line
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    progress.update(2);
    progress.update(3);  // too early again, and the last line comes at the end
  }
  std::rewind(file);
  std::string text(1000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_THAT(text, testing::StartsWith("packing   66 %  2/3 files"));
  EXPECT_THAT(text, testing::HasSubstr("\npacking  100 %  3/3 files"));
  EXPECT_THAT(text, testing::HasSubstr("ok"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("\r")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("\x1b")));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST(Progress, NumbersAreShort) {
  EXPECT_EQ(short_count(7), "7");
  EXPECT_EQ(short_count(0.25), "0.25");
  EXPECT_EQ(short_count(1'234'567), "1.23M");
  EXPECT_EQ(short_count(999'600), "1.00M");
  EXPECT_EQ(short_bytes(98'000'000), "98.0 MB");
  EXPECT_EQ(short_duration(0.5), "0.50 s");
  EXPECT_EQ(short_duration(61), "1 min 1 s");
  EXPECT_EQ(short_duration(59.9), "1 min 0 s");
  EXPECT_EQ(short_duration(3725), "1 h 2 min");
}

TEST(Interrupt, IsSeenOnceAndForgotten) {
  EXPECT_FALSE(interrupted());
  EXPECT_NO_THROW(throw_if_interrupted());
  request_interrupt();
  EXPECT_TRUE(interrupted());
  EXPECT_THROW(throw_if_interrupted(), Interrupted);
  forget_interrupt();
  EXPECT_FALSE(interrupted());
}

}  // namespace tessera
