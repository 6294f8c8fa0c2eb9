#include "tessera/data/manpage.h"

#include <gtest/gtest.h>

namespace tessera::data {
namespace {

TEST(Manpage, JoinsLinesResolvesFontsAndKeepsSections) {
  EXPECT_EQ(manpage_to_prose(".\\\" a comment\n.TH signal 7 2023-02-05\n.SH NAME\nsignal \\- overview of \\fIsignals\\fP\n.SH DESCRIPTION\n"
                             "A process can change it using\n.BR sigaction (2)\nor\n.BR signal (2).\n.PP\nNext\\ paragraph\\(emhere.\n"),
            "NAME\n\nsignal - overview of signals\n\nDESCRIPTION\n\nA process can change it using sigaction(2) or signal(2).\n\n"
            "Next paragraph\u2014here.\n");
}

TEST(Manpage, TagsStandOnTheirOwnLineAndBulletsBeforeTheirText) {
  EXPECT_EQ(manpage_to_prose(".SH OPTIONS\n.TP\n.B \\-a\nDo not ignore\nentries.\n.IP \\(bu 3\nA point.\n.IP ENV\nIts meaning.\n"),
            "OPTIONS\n\n-a\nDo not ignore entries.\n\n- A point.\n\nENV\nIts meaning.\n");
}

TEST(Manpage, LeavesOutSynopsisExamplesTablesAndDefinitions) {
  EXPECT_EQ(manpage_to_prose(
                ".SH SYNOPSIS\n.B ls\n[\\fIOPTION\\fR]\n.SH DESCRIPTION\nText.\n.EX\nint main() {}\n.EE\nMore.\n.TS\nl l.\na\tb\n.TE\n"
                ".de XX\nhidden\n..\nEnd.\n"),
            "DESCRIPTION\n\nText.\n\nMore.\n\nEnd.\n");
}

TEST(Manpage, ReadsMdoc) {
  EXPECT_EQ(manpage_to_prose(
                ".Dd today\n.Dt CAT 1\n.Sh NAME\n.Nm cat\n.Nd concatenate files\n.Sh DESCRIPTION\nThe\n.Nm\nutility reads\n.Ar file ,\n"
                "see\n.Xr head 1 .\n"),
            "NAME\n\ncat - concatenate files\n\nDESCRIPTION\n\nThe cat utility reads file, see head(1).\n");
}

TEST(Manpage, APageThatNamesAnotherIsEmpty) { EXPECT_EQ(manpage_to_prose(".so man2/open.2\n"), ""); }

TEST(Manpage, SurvivesCutAndHostileLines) {
  for (const char* page : {"\\", "\\f", "\\f(", "\\[", "\\*[", "\\s+", "\\h'", ".", ".B", ".BR \"", ".MR x", ".IP", "\\fB\\", ".EX", ".de"})
    EXPECT_NO_THROW(manpage_to_prose(page)) << page;
}

}  // namespace
}  // namespace tessera::data
