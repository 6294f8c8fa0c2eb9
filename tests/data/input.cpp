#include "tessera/data/input.h"

#include <gtest/gtest.h>

#include "tessera/base/random.h"
#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  LineReader reader(path);
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

// About 1 MB of text that does not compress to nothing.
std::string long_text() {
  RandomStream random(3, "input test");
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += std::to_string(random.below(1'000'000'000)) + (i % 7 == 0 ? "\n" : " ");
  return text;
}

TEST(Input, ReadsPlainGzipAndZstdAlike) {
  const ScratchFolder folder;
  const std::string text = long_text();
  EXPECT_EQ(read_text(folder.write("a", text)), text);
  EXPECT_EQ(read_text(folder.write("b", gzipped(text))), text);
  EXPECT_EQ(read_text(folder.write("c", zstd_packed(text))), text);
}

TEST(Input, ReadsMembersAndFramesThatFollowEachOther) {
  const ScratchFolder folder;
  EXPECT_EQ(read_text(folder.write("a.gz", gzipped("one ") + gzipped("") + gzipped("two") + std::string(512, '\0'))), "one two");
  EXPECT_EQ(read_text(folder.write("a.zst", zstd_packed("one ") + zstd_packed("two"))), "one two");
  const std::string text = long_text(), second = gzipped(text);
  EXPECT_EQ(read_text(folder.write("b.gz", second + second)), text + text) << "members of many blocks";
  const auto cut = folder.write("c.gz", second + second.substr(0, second.size() / 2));
  EXPECT_NE(input_error([&] { read_text(cut); }).find("it ends early"), std::string::npos);
}

TEST(Input, NamesDamagedAndCutFiles) {
  const ScratchFolder folder;
  const std::string text = long_text();
  for (const auto& [name, packed] : {std::pair{std::string("a.gz"), gzipped(text)}, {"a.zst", zstd_packed(text)}})
    for (const size_t keep : {packed.size() - 1, packed.size() / 2, size_t{12}}) {
      const auto path = folder.write(name, packed.substr(0, keep));
      const std::string message = input_error([&] { read_text(path); });
      EXPECT_NE(message.find("a." + name.substr(2) + " is no whole"), std::string::npos) << keep << ": " << message;
      EXPECT_NE(message.find("; copy it again"), std::string::npos);
    }
  std::string flipped = gzipped(text);
  flipped[flipped.size() / 2] ^= 0x55;
  EXPECT_NE(input_error([&] { read_text(folder.write("b.gz", flipped)); }), "");
  EXPECT_NE(input_error([&] { read_text(folder.write("c.gz", gzipped("x") + "junk that is no gzip")); }), "");
}

TEST(Input, NamesMissingFilesAndFolders) {
  const ScratchFolder folder;
  EXPECT_EQ(input_error([&] { read_text(folder.path() / "no"); }),
            (folder.path() / "no").string() + " cannot be opened: No such file or directory; check the path");
  EXPECT_EQ(input_error([&] { read_text(folder.path()); }), folder.path().string() + " is a folder; give a file");
}

TEST(Input, RefusesMoreThanAskedFor) {
  const ScratchFolder folder;
  const auto bomb = folder.write("bomb.gz", gzipped(std::string(1 << 20, 'x')));
  EXPECT_EQ(input_error([&] { read_text(bomb, 1000); }), bomb.string() + " holds more than 1000 bytes; split it");
  EXPECT_NE(input_error([&] {
              LineReader reader(bomb, 1000);
              std::string line;
              reader.next(line);
            }).find("bomb.gz:1: the line is longer than 1000 bytes"),
            std::string::npos);
}

TEST(Input, SplitsLinesAcrossBlocksWithAnyLineEnd) {
  const ScratchFolder folder;
  EXPECT_EQ(lines_of(folder.write("a", "\xEF\xBB\xBFone\r\ntwo\n\nlast")), (std::vector<std::string>{"one", "two", "", "last"}));
  EXPECT_TRUE(lines_of(folder.write("b", "")).empty());
  const std::string text = long_text();
  std::string joined;
  for (const auto& line : lines_of(folder.write("c", text))) joined += line + "\n";
  EXPECT_EQ(joined, text + "\n");
  const std::string wide(200'000, 'w');
  EXPECT_EQ(lines_of(folder.write("d", wide + "\n" + wide)), (std::vector<std::string>{wide, wide}));
}

}  // namespace
}  // namespace tessera::data
