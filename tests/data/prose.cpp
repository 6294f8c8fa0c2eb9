#include "tessera/data/prose.h"

#include <gtest/gtest.h>

#include "tessera/base/random.h"

namespace tessera::data {
namespace {

TEST(Prose, BytesThatAreNoUtf8AreReadAsWindows1252) {
  EXPECT_EQ(to_utf8("caf\xE9 \x93quoted\x94 \x80"), "caf\u00E9 \u201Cquoted\u201D \u20AC");
  EXPECT_EQ(to_utf8("caf\u00E9"), "caf\u00E9") << "valid UTF-8 stays as it is";
  EXPECT_EQ(to_utf8("\xEF\xBB\xBFtext"), "text") << "less a byte order mark";
}

TEST(Prose, ReadsUtf16WithItsMarkAndBrokenSurrogates) {
  EXPECT_EQ(to_utf8(std::string_view("\xFF\xFEh\0i\0", 6)), "hi");
  EXPECT_EQ(to_utf8(std::string_view("\xFE\xFF\xD8\x3D\xDE\x00", 6)), "\U0001F600");
  EXPECT_EQ(to_utf8(std::string_view("\xFE\xFF\xD8\x3D\x00\x41", 6)), "\uFFFDA");
}

TEST(Prose, RefusesOverlongFormsAndSurrogatesAsUtf8) {
  EXPECT_TRUE(is_utf8("plain \u4E2D\U0001F600"));
  EXPECT_FALSE(is_utf8("\xC0\xAF"));
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));
  EXPECT_FALSE(is_utf8("\xE4\xB8"));
}

TEST(Prose, CleansSpacesLineEndsAndInvisibleCharacters) {
  EXPECT_EQ(clean_prose("  one\t two \r\n three\u00A0four  \n\n\n\n five\rsix \n\n"), "one two\nthree four\n\nfive\nsix\n");
  EXPECT_EQ(clean_prose("soft\u00ADhyphen\u200Bzero\x01"), "softhyphenzero\n");
  EXPECT_EQ(clean_prose(" \n\t\n"), "");
  EXPECT_EQ(clean_prose("\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645"), "\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645\n")
      << "Persian keeps its zero-width non-joiner";
}

TEST(Prose, ComposesToNormalFormC) {
  EXPECT_EQ(clean_prose("cafe\u0301 \u1112\u1161\u11AB"), "caf\u00E9 \uD55C\n");
  EXPECT_EQ(clean_prose("e\u200B\u0301"), "\u00E9\n") << "what a dropped character kept apart is composed too";
  std::string marks = "a";  // classes that fall: each swap of neighbours would move one mark one place
  for (int i = 0; i < 100'000; ++i) marks += "\u0301";
  for (int i = 0; i < 100'000; ++i) marks += "\u0323";
  EXPECT_TRUE(clean_prose(marks).starts_with("\u1EA1\u0323")) << "in time";
}

TEST(Prose, CleaningTwiceChangesNothingOnRandomBytes) {
  RandomStream random(7, "prose test");
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t i = 0, n = random.below(200); i < n; ++i) {
      const char* const pieces[] = {"a", " ", "\n", "\r", "\t", "\u0301", "\u00AD", "\xE9", "\u00A0", "e", "\u3000", "\xFF", "\u200B"};
      bytes += pieces[random.below(std::size(pieces))];
    }
    const std::string once = clean_prose(bytes);
    ASSERT_EQ(clean_prose(once), once) << "round " << round;
    ASSERT_EQ(once.find(" \n"), std::string::npos);
    ASSERT_EQ(once.find("\n\n\n"), std::string::npos);
  }
}

TEST(Prose, UnwrapsParagraphsAndKeepsLists) {
  EXPECT_EQ(unwrap_lines("A line that was\nwrapped at some\ncolumn.\n\n1. first\n   goes on\n2. second\n-- Somebody\n"),
            "A line that was wrapped at some column.\n\n1. first goes on\n2. second\n-- Somebody\n");
}

}  // namespace
}  // namespace tessera::data
