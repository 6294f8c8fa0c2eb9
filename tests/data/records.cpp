#include "tessera/data/records.h"

#include <gtest/gtest.h>

#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

std::vector<Row> rows_of(const std::filesystem::path& path, const RecordsOptions& options = {}) {
  const auto records = open_records(path, options);
  std::vector<Row> rows;
  for (Row row; records->next(row);) rows.push_back(row);
  return rows;
}

std::string failure(const std::filesystem::path& path, const RecordsOptions& options = {}) {
  return input_error([&] { rows_of(path, options); });
}

TEST(Jsonl, ReadsEveryKindOfValue) {
  const ScratchFolder folder;
  const auto path = folder.write("a.jsonl",
                                 "{\"s\":\"\\u00e9\\n\",\"i\":-7,\"d\":2.5,\"b\":true,\"n\":null,\"l\":[\"x\",\"y\"],\"o\":{\"k\": [1, 2]},"
                                 "\"big\":18446744073709551615}\n\n  \n{\"s\":\"last\"}");
  const auto rows = rows_of(path);
  ASSERT_EQ(rows.size(), 2U) << "empty lines are no rows";
  EXPECT_EQ(rows[0].text("s"), "\u00E9\n");
  EXPECT_EQ(rows[0].integer("i"), -7);
  EXPECT_EQ(rows[0].number("d"), 2.5);
  EXPECT_EQ(rows[0].number("i"), -7.0);
  EXPECT_EQ(std::get<bool>(*rows[0].find("b")), true);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*rows[0].find("n")));
  EXPECT_EQ(rows[0].texts("l"), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(std::get<Json>(*rows[0].find("o")).text, "{\"k\":[1,2]}");
  EXPECT_EQ(rows[0].number("big"), 18446744073709551615.0);
  EXPECT_EQ(rows[1].where, path.string() + ":4");
  EXPECT_EQ(rows[0].find("none"), nullptr);
}

TEST(Jsonl, NamesFileAndLineOfAMalformedOne) {
  const ScratchFolder folder;
  for (const char* line : {"{\"a\":", "{\"a\":1}x", "[1]", "7", "{\"a\":\"\xff\"}", "{a:1}", "{\"a\":1e999}"}) {
    const auto path = folder.write("a.jsonl", std::string("{\"a\":1}\n") + line + "\n");
    EXPECT_TRUE(failure(path).starts_with(path.string() + ":2: ")) << line << " " << failure(path);
  }
  EXPECT_TRUE(failure(folder.write("b.jsonl", std::string(100'000, '['))).find("b.jsonl:1: not a line of JSON") != std::string::npos);
}

TEST(Jsonl, ReadsPackedFilesSelectsColumnsAndCounts) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "{\"id\":" + std::to_string(i) + ",\"text\":\"number " + std::to_string(i) + "\"}\n";
  for (const auto& path : {folder.write("a.jsonl.gz", gzipped(text)), folder.write("a.jsonl.zst", zstd_packed(text))}) {
    EXPECT_EQ(count_records(path), 5000U);
    const auto records = open_records(path, {.columns = {"id"}});
    EXPECT_EQ(records->skip(4321), 4321U);
    Row row;
    ASSERT_TRUE(records->next(row));
    EXPECT_EQ(row.integer("id"), 4321);
    EXPECT_EQ(row.fields.size(), 1U);
    EXPECT_EQ(records->skip(100'000), 5000U - 4322U);
  }
  EXPECT_NE(failure(folder.path() / "a.jsonl.gz", {.columns = {"nope"}}).find("a.jsonl.gz:1: there is no column nope; it has id, text"),
            std::string::npos);
}

TEST(Rows, SayWhatIsMissingOrWrong) {
  const ScratchFolder folder;
  const auto path = folder.write("a.jsonl", "{\"a\":\"x\",\"b\":[1]}\n");
  const Row row = rows_of(path)[0];
  const std::string where = path.string() + ":1: ";
  EXPECT_EQ(input_error([&] { row.text("c"); }), where + "there is no field c; it has a, b");
  EXPECT_EQ(input_error([&] { row.number("a"); }), where + "field a is text; it must be a number");
  EXPECT_EQ(input_error([&] { row.integer("a"); }), where + "field a is text; it must be an integer");
  EXPECT_EQ(input_error([&] { row.texts("b"); }), where + "field b is a nested value; it must be a list of texts");
}

TEST(Csv, ReadsQuotesLineEndsDelimitersAndAMark) {
  const ScratchFolder folder;
  const auto rows =
      rows_of(folder.write("a.csv", "\xEF\xBB\xBFid,\"the text\",n\r\n1,\"a, \"\"b\"\"\nc\",2.5\r\n\r\n2,,-3\n3,caf\xE9,\"\""));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].text("the text"), "a, \"b\"\nc");
  EXPECT_EQ(rows[0].integer("id"), 1);
  EXPECT_EQ(rows[0].number("n"), 2.5);
  EXPECT_EQ(rows[1].text("the text"), "");
  EXPECT_TRUE(rows[1].where.ends_with("a.csv:5")) << rows[1].where;
  EXPECT_EQ(rows[2].text("the text"), "caf\u00E9");
  EXPECT_EQ(rows[2].text("n"), "");
}

TEST(Csv, ReadsManyColumnsInTime) {
  const ScratchFolder folder;
  std::string header;
  for (int i = 0; i < 200'000; ++i) header += (i ? "," : "") + std::to_string(i);
  EXPECT_EQ(count_records(folder.write("a.csv", header + "\n" + header + "\n")), 1U);
}

TEST(Csv, ReadsTabsAndSelectsColumns) {
  const ScratchFolder folder;
  const auto path = folder.write("a.tsv.gz", gzipped("a\tb\tc\n1\t2,5\t3\n"));
  const auto rows = rows_of(path, {.columns = {"b"}});
  ASSERT_EQ(rows.size(), 1U);
  ASSERT_EQ(rows[0].fields.size(), 1U);
  EXPECT_EQ(rows[0].text("b"), "2,5");
  EXPECT_NE(failure(path, {.columns = {"z"}}).find("there is no column z; it has a, b, c"), std::string::npos);
}

TEST(Csv, NamesTheLineOfAMalformedRow) {
  const ScratchFolder folder;
  const auto message = [&](const char* text) { return failure(folder.write("a.csv", text)); };
  EXPECT_NE(message("a,b\n1,2\n1,2,3\n").find("a.csv:3: the row has 3 fields, the header names 2; "), std::string::npos);
  EXPECT_NE(message("a,b\n1,\"2\n3,4\n").find("a.csv:2: a quoted field is never closed; "), std::string::npos);
  EXPECT_NE(message("a,b\n\"1\"x,2\n").find("a.csv:2: text follows a closing quotation mark; "), std::string::npos);
  EXPECT_NE(message("").find("a.csv is empty; its first line must name the columns"), std::string::npos);
  EXPECT_NE(message("a,a\n").find("a.csv:1: two columns are called a; rename one"), std::string::npos);
}

TEST(Csv, ReadsRowsLongerThanABlock) {
  const ScratchFolder folder;
  const std::string wide(300'000, 'w');
  const auto path = folder.write("a.csv", "a,b\n\"" + wide + "\"\"\n\"," + wide + "\n");
  EXPECT_EQ(rows_of(path)[0].text("a"), wide + "\"\n");
  EXPECT_EQ(count_records(path), 1U);
}

TEST(Txt, IsAFileOrParagraphsOrLines) {
  const ScratchFolder folder;
  const auto path = folder.write("a.txt", "one\ntwo\n\n \nthree\n");
  EXPECT_EQ(rows_of(path)[0].text("text"), "one\ntwo\n\n \nthree\n");
  const auto paragraphs = rows_of(path, {.columns = {}, .text_unit = TextUnit::paragraph});
  ASSERT_EQ(paragraphs.size(), 2U);
  EXPECT_EQ(paragraphs[0].text("text"), "one\ntwo");
  EXPECT_TRUE(paragraphs[1].where.ends_with("a.txt:5"));
  const auto lines = rows_of(path, {.columns = {}, .text_unit = TextUnit::line});
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[2].text("text"), "three");
  EXPECT_EQ(count_records(path, {.columns = {}, .text_unit = TextUnit::line}), 3U);
}

TEST(Folder, ReadsAllDataFilesInOrder) {
  const ScratchFolder folder;
  folder.write("set/b.txt", "from b");
  folder.write("set/a/z.md", "from a");
  folder.write("set/c.jsonl", "{\"text\":\"from c\"}\n{\"text\":\"again\"}\n");
  folder.write("set/picture.png", "no");
  const auto rows = rows_of(folder.path() / "set");
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].text("text") + rows[1].text("text") + rows[2].text("text") + rows[3].text("text"), "from afrom bfrom cagain");
  EXPECT_EQ(count_records(folder.path() / "set"), 4U);
  const auto records = open_records(folder.path() / "set");
  EXPECT_EQ(records->skip(3), 3U);
  Row row;
  ASSERT_TRUE(records->next(row));
  EXPECT_EQ(row.text("text"), "again");
}

TEST(Folder, NamesWhatCannotBeRead) {
  const ScratchFolder folder;
  EXPECT_NE(failure(folder.path()).find("holds no data files; put files into it that end with .jsonl"), std::string::npos);
  EXPECT_NE(failure(folder.path() / "none.csv").find("none.csv does not exist; check the path"), std::string::npos);
  EXPECT_NE(failure(folder.write("a.xlsx", "")).find("a.xlsx has no ending that names a format; rename it to one of .jsonl"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera::data
