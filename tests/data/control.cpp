#include "tessera/data/control.h"

#include <gtest/gtest.h>

namespace tessera::data {
namespace {

TEST(Control, ReadsFieldsContinuationsAndParagraphs) {
  const auto all = parse_control("# comment\nPackage: a\nDescription: short\n long one\n .\n  indented\n\n\nPackage: b\nnot a field\n");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(field(all[0], "package"), "a");
  EXPECT_EQ(field(all[0], "Description"), "short\nlong one\n\n indented");
  EXPECT_EQ(field(all[1], "Description"), "");
}

TEST(Control, DescribesAPackage) {
  const auto all =
      parse_control("Package: mold\nDescription: faster linker\n It links\n fast.\n .\n  - parallel\n  - small\n\nPackage: none\n");
  EXPECT_EQ(package_description(all[0]), "mold: faster linker\n\nIt links fast.\n\n- parallel\n- small\n");
  EXPECT_EQ(package_description(all[1]), "");
}

TEST(Control, GivesTheLicencesOfAMachineReadableCopyrightFile) {
  EXPECT_EQ(copyright_to_prose("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 2020 A\n"
                               "License: MIT\nComment: A remark\n on it.\n\nLicense: MIT\n Permission is\n granted.\n .\n No warranty.\n"),
            "A remark on it.\n\nPermission is granted.\n\nNo warranty.\n");
}

TEST(Control, UnwrapsAnyOtherCopyrightFile) {
  EXPECT_EQ(copyright_to_prose("This package was\ndebianized by A.\n\nLicense: see\nbelow.\n"),
            "This package was debianized by A.\n\nLicense: see below.\n");
}

}  // namespace
}  // namespace tessera::data
