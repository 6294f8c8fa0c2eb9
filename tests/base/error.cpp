#include "tessera/base/error.h"

#include <gtest/gtest.h>

namespace tessera {

TEST(Error, SplitsItsLineIntoMessageAndHintAtTheLastSemicolon) {
  const InputError error("--layers {}: too many; the model has {}; give 1 to {}", 40, 30, 29);
  EXPECT_STREQ(error.what(), "--layers 40: too many; the model has 30; give 1 to 29");
  EXPECT_EQ(error.message(), "--layers 40: too many; the model has 30");
  EXPECT_EQ(error.hint(), "give 1 to 29");
  EXPECT_EQ(error.kind(), "input");
}

TEST(Error, HasNoHintWithoutASemicolon) {
  const WorkError error("the disk is full");
  EXPECT_EQ(error.message(), "the disk is full");
  EXPECT_EQ(error.hint(), "");
  EXPECT_EQ(error.kind(), "work");
}

TEST(Quoted, ShowsControlCharactersAndNeverCutsACharacterInTwo) {
  EXPECT_EQ(quoted(std::string_view("a\nb\x1b[31m\0c", 10)), "a\\nb\\x1b[31m\\x00c");
  EXPECT_EQ(quoted("abcdef", 3), "abc...");
  EXPECT_EQ(quoted("aé€z", 2), "a...");   // é is two bytes
  EXPECT_EQ(quoted("aé€z", 3), "aé...");  // cut exactly between characters
  EXPECT_EQ(quoted("aé€z", 5), "aé...");  // inside the three bytes of €
  EXPECT_EQ(quoted("aé€", 6), "aé€");
}

}  // namespace tessera
