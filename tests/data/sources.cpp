#include "tessera/data/sources.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tessera/data/prose.h"
#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

SourceOptions at(const ScratchFolder& root, std::string language = "") {
  return {.root = root.path(), .language = std::move(language), .prose = {}};
}

TEST(Sources, EveryOneSaysWhatItIsAndIsFoundByItsName) {
  std::set<std::string> names;
  for (const Source& source : sources()) {
    SCOPED_TRACE(source.name);
    EXPECT_TRUE(names.insert(source.name).second);
    EXPECT_EQ(find_source(source.name).name, source.name);
    EXPECT_FALSE(source.title.empty() || source.licence.empty() || source.pattern.empty());
    EXPECT_FALSE(source.folder.starts_with('/'));
    EXPECT_EQ(source.folder.find("{language}") != std::string::npos || source.pattern.find("{language}") != std::string::npos,
              !source.languages.empty());
  }
}

TEST(Sources, SuggestsTheNearestName) {
  EXPECT_EQ(input_error([] { find_source("anarchsm"); }), "no text source is called anarchsm; did you mean anarchism?");
}

TEST(Sources, AMissingOneNamesThePackageAndTheCommand) {
  const ScratchFolder root;
  EXPECT_EQ(input_error([&] { read_source("anarchism", at(root)); }),
            "the text source anarchism is not installed: " + (root.path() / "usr/share/doc/anarchism/html").string() +
                " holds no *.html; apt-get install anarchism");
  EXPECT_NE(input_error([&] { read_source("debian-reference", at(root, "ja")); }).find("; apt-get install debian-reference-ja"),
            std::string::npos);
  EXPECT_FALSE(installed(find_source("anarchism"), at(root)));
}

TEST(Sources, ReadsPagesInByteOrderWithoutIndexesAndLinks) {
  const ScratchFolder root;
  const std::string folder = "usr/share/doc/anarchism/html/";
  root.write(folder + "b.html", "<p>second</p>");
  root.write(folder + "B.html", "<p>first</p>");
  root.write(folder + "index.html", "<p>index</p>");
  root.write(folder + "picture.png", "x");
  root.write(folder + "empty.html", "<nav>no</nav>");
  std::filesystem::create_symlink(root.path() / folder / "b.html", root.path() / folder / "c.html");
  const auto documents = read_documents("anarchism", at(root));
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].name, folder + "B.html");
  EXPECT_EQ(documents[0].text, "first\n");
  EXPECT_EQ(documents[1].text, "second\n");
  EXPECT_EQ(read_source("anarchism", at(root)), "first\n\nsecond\n");
  EXPECT_EQ(read_source("anarchism", at(root), 3), "first\n") << "stops at the document that reaches the limit";
}

TEST(Sources, TakesTheLanguageAskedFor) {
  const ScratchFolder root;
  root.write("usr/share/doc/debian-handbook/html/en-US/apt.html", "<p>English</p>");
  root.write("usr/share/doc/debian-handbook/html/ja-JP/apt.html", "<p>\u65E5\u672C\u8A9E</p>");
  root.write("usr/share/debian-reference/ch01.en.html", "<p>one</p>");
  root.write("usr/share/debian-reference/ch01.de.html", "<p>eins</p>");
  root.write("usr/share/debian-reference/index.de.html", "<p>Verzeichnis</p>");
  EXPECT_EQ(read_source("debian-handbook", at(root)), "English\n");
  EXPECT_EQ(read_source("debian-handbook", at(root, "ja-JP")), "\u65E5\u672C\u8A9E\n");
  EXPECT_EQ(read_source("debian-reference", at(root, "de")), "eins\n");
  EXPECT_NE(input_error([&] { read_source("debian-handbook", at(root, "xx")); }).find("debian-handbook has no language xx; it has en-US"),
            std::string::npos);
  EXPECT_EQ(input_error([&] { read_source("anarchism", at(root, "de")); }),
            "anarchism has one language only, not de; leave the language out");
}

TEST(Sources, TakesOnlyThePackagesOwnManualPages) {
  const ScratchFolder root;
  root.write("usr/share/man/man7/signal.7.gz", gzipped(".SH NAME\nsignal \\- overview\n"));
  root.write("usr/share/man/man7/other.7.gz", gzipped(".SH NAME\nother\n"));
  root.write("var/lib/dpkg/info/manpages.list", "/.\n/usr\n/usr/share/man/man7/signal.7.gz\n");
  EXPECT_EQ(read_source("manpages", at(root)), "NAME\n\nsignal - overview\n");
}

TEST(Sources, ReadsSeveralDocumentsFromOneFile) {
  const ScratchFolder root;
  root.write("usr/share/games/fortunes/art", "one\n%\ntwo\n");
  root.write("usr/share/games/fortunes/art.dat", "binary");
  root.write("var/lib/dpkg/status", "Package: a\nDescription: first\n\nPackage: b\nDescription: second\n");
  root.write("usr/share/doc/python3.11/html/library/json.html", "<p>JSON</p>");
  const auto sayings = read_documents("fortunes", at(root));
  ASSERT_EQ(sayings.size(), 2U);
  EXPECT_EQ(sayings[1].name, "usr/share/games/fortunes/art#2");
  EXPECT_EQ(sayings[1].text, "two\n");
  EXPECT_EQ(read_source("packages", at(root)), "a: first\n\nb: second\n");
  EXPECT_EQ(read_source("python3-doc", at(root)), "JSON\n");
}

// What Debian installs, where it is installed: every document is clean prose of some length.
TEST(Sources, InstalledOnesReadAsCleanProse) {
  size_t read = 0;
  for (const char* name : {"anarchism", "debian-handbook", "debian-policy", "manpages", "fortunes", "dict-wn"}) {
    if (!installed(find_source(name))) continue;
    ++read;
    SCOPED_TRACE(name);
    const std::string text = read_source(name, {}, 400'000);
    EXPECT_GT(text.size(), 100'000U);
    EXPECT_EQ(clean_prose(text), text);
    for (const char* junk : {"<p>", "</p>", "</div>", "&nbsp;", "\u00E2\u20AC", "\uFFFD", "Prev</", "\\fB"})
      EXPECT_EQ(text.find(junk), std::string::npos) << junk;
    const auto letters = std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c) || c == ' '; });
    EXPECT_GT(static_cast<double>(letters), 0.85 * static_cast<double>(text.size()));
  }
  if (read == 0)
    GTEST_SKIP() << "none of the Debian packages anarchism, debian-handbook, debian-policy, manpages, fortunes, dict-wn is installed";
}

}  // namespace
}  // namespace tessera::data
