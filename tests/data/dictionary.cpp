#include "tessera/data/dictionary.h"

#include <gtest/gtest.h>

namespace tessera::data {
namespace {

TEST(Fortunes, SplitsAtPercentLinesAndJoinsFullLines) {
  const auto sayings = fortunes(
      "Absent, adj.:\n\tExposed to the attacks of friends and acquaintances; defamed;\n\tslandered.\n%\n%\n"
      "Our little systems have their day;\nThey have their day and cease to be;\n\t\t-- Tennyson\n");
  ASSERT_EQ(sayings.size(), 2U) << "an empty piece is none";
  EXPECT_EQ(sayings[0], "Absent, adj.:\nExposed to the attacks of friends and acquaintances; defamed; slandered.\n");
  EXPECT_EQ(sayings[1], "Our little systems have their day;\nThey have their day and cease to be;\n-- Tennyson\n");
}

TEST(Fortunes, ResolvesOverstrikesAndOldEncodings) {
  EXPECT_EQ(fortunes("_\bh_\bi\n%\ncaf\xE9\n"), (std::vector<std::string>{"hi\n", "caf\u00E9\n"}));
  EXPECT_TRUE(fortunes("").empty());
  EXPECT_EQ(fortunes("\b\b").size(), 0U);
}

TEST(Dictd, GivesGlossesByHeadWordWithoutEditorialEntries) {
  const auto entries = dictd_glosses(
      "00-database-short\n     WordNet (r) 3.0 (2006)\n"
      "dog\n    n 1: a member of the genus Canis; \"the dog\n         barked all night\" [syn: {dog}, {domestic\n         dog}]\n"
      "    2: a dull {girl}\n    v 1: go after with the intent to catch [syn: {chase}]\n"
      "domestic dog\n    n 1: a member of the genus Canis\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].name, "dog");
  EXPECT_EQ(entries[0].text,
            "dog: a member of the genus Canis; \"the dog barked all night\"\ndog: a dull girl\ndog: go after with the intent to catch\n");
  EXPECT_EQ(entries[1].text, "domestic dog: a member of the genus Canis\n");
}

}  // namespace
}  // namespace tessera::data
