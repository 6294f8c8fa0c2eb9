// The hand-written scanners against PCRE2, and patterns in Oniguruma's dialect.

#include "tessera/text/scanners.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/text/pattern.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

const std::string gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string llama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string qwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string qwen3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::vector<std::string> cut(const Matcher& matcher, const std::string& text) {
  std::vector<ByteRange> ranges;
  matcher.find_all(text, ranges);
  std::vector<std::string> out;
  for (const ByteRange& range : ranges) out.push_back(text.substr(range.begin, range.end - range.begin));
  return out;
}

TEST(Scanner, CutsAsTheSamePatternInPcre2) {
  const std::vector<std::string> units = {
      " ", "  ", "\n", "\r",     "\t",     "'",      "'s",     "'LL",    "'\u017f", "a",      "Z",      "re",     "1",          "23",
      ".", "-",  "_",  "\u00e9", "\u0301", "\u4e2d", "\u0663", "\u00bd", "\u3000",  "\u00a0", "\u200b", "\u0947", "\U0001f600", "\u2581"};
  std::mt19937 random(5);
  for (const std::string& pattern : {gpt2, llama3, qwen2, qwen3}) {
    ASSERT_TRUE(known_scanner(pattern));
    const Matcher scanner({pattern, true}, "test"), pcre2({"(?:" + pattern + ")", true}, "test");
    ASSERT_FALSE(pcre2.gapless());
    for (int i = 0; i < 4000; ++i) {
      std::string text;
      for (size_t n = random() % 12; n > 0; --n) text += units[random() % units.size()];
      ASSERT_EQ(cut(scanner, text), cut(pcre2, text)) << pattern << " on " << text;
    }
  }
}

TEST(Scanner, KnowsOnlyItsPatterns) {
  EXPECT_FALSE(known_scanner(gpt2 + " "));
  EXPECT_FALSE(known_scanner(llama3.substr(1)));
  EXPECT_EQ(known_scanner(llama3)->digits, 3);
  EXPECT_EQ(known_scanner(qwen2)->digits, 1);
  EXPECT_TRUE(known_scanner(qwen3)->marks);
}

TEST(Pattern, SpeaksOnigurumasDialect) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(cut(Matcher({R"(\h+)", true}, "t"), "xyzBEEF"), (Strings{"BEEF"}));
  EXPECT_EQ(cut(Matcher({R"(\u00e9)", true}, "t"), "caf\u00e9"), (Strings{"\u00e9"}));
  EXPECT_EQ(cut(Matcher({R"(\d{1,2}+)", true}, "t"), "12345"), (Strings{"12345"}));
  EXPECT_EQ(cut(Matcher({R"(^b$)", true}, "t"), "a\nb\nc"), (Strings{"b"}));
  EXPECT_EQ(cut(Matcher({R"([^\P{L}x]+)", true}, "t"), "axb1"), (Strings{"a", "b"}));
  EXPECT_EQ(cut(Matcher({R"([\]a]+)", true}, "t"), "x]a]"), (Strings{"]a]"}));
  EXPECT_EQ(cut(Matcher({"", false}, "t"), "abc"), Strings{});
  EXPECT_THROW(Matcher({"[a[bc]]", true}, "t"), InputError);
  EXPECT_THROW(Matcher({"[a-z&&[^b]]", true}, "t"), InputError);
}

TEST(Pattern, GivesUpOnPatternsThatAreNotLinear) {
  const Matcher matcher({"(a+)+$", true}, "t.json");
  std::vector<ByteRange> ranges;
  try {
    matcher.find_all(std::string(60, 'a') + "c", ranges);
    FAIL() << "a catastrophic pattern came to an end";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "t.json: the pattern \"(a+)+$\" gave up on a text of 61 bytes: match limit exceeded; split the text into shorter parts");
  }
}

}  // namespace
}  // namespace tessera::text
