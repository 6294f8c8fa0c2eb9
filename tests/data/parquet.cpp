#include <gtest/gtest.h>

#include <fstream>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/data/records.h"
#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

const std::string fixture = std::string(TESSERA_SOURCE_DIR) + "/tests/data/data/rows.parquet";  // made by tests/parity/data_parquet.py

#ifdef TESSERA_HAS_PARQUET
TEST(Parquet, ReadsEveryRowAndKindOfColumn) {
  const auto records = open_records(fixture);
  int64_t i = 0;
  for (Row row; records->next(row); ++i) {
    ASSERT_EQ(row.integer("id"), i);
    ASSERT_EQ(row.text("text"), "row " + std::to_string(i) + " \u00E9");
    if (i % 7 == 0) {
      ASSERT_TRUE(std::holds_alternative<std::monostate>(*row.find("score")));
    } else {
      ASSERT_EQ(row.number("score"), static_cast<double>(i) / 4);
    }
    ASSERT_EQ(std::get<bool>(*row.find("flag")), i % 3 == 0);
    ASSERT_EQ(row.texts("choices"), (std::vector<std::string>{"a" + std::to_string(i), "b"}));
    ASSERT_EQ(row.where, fixture + ", row " + std::to_string(i + 1));
  }
  EXPECT_EQ(i, 3000) << "several row groups and batches";
}

TEST(Parquet, SelectsColumnsCountsAndSkips) {
  EXPECT_EQ(count_records(fixture), 3000U);
  const auto records = open_records(fixture, {.columns = {"choices", "id"}});
  EXPECT_EQ(records->skip(2500), 2500U);
  Row row;
  ASSERT_TRUE(records->next(row));
  ASSERT_EQ(row.fields.size(), 2U);
  EXPECT_EQ(row.fields[0].first, "choices") << "in the order asked for";
  EXPECT_EQ(row.integer("id"), 2500);
  EXPECT_EQ(records->skip(10'000), 499U);
  EXPECT_FALSE(records->next(row));
  EXPECT_EQ(records->skip(10'000), 0U);
  EXPECT_NE(input_error([] {
              open_records(fixture, {.columns = {"none"}});
            }).find("there is no column none; it has id, text, score, flag, choices"),
            std::string::npos);
}

TEST(Parquet, NamesFilesThatAreNone) {
  const ScratchFolder folder;
  std::ifstream in(fixture, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  for (const std::string& bytes : {std::string(), std::string("PAR1"), whole.substr(0, whole.size() / 2), "XXXX" + whole.substr(4, 400)}) {
    const auto path = folder.write("a.parquet", bytes);
    EXPECT_NE(input_error([&] { count_records(path); }).find("a.parquet"), std::string::npos) << bytes.size();
  }
}

// The footer's number of rows, a zigzag varint of two bytes, is changed: Arrow takes any.
TEST(Parquet, RefusesAFooterThatCountsOtherRows) {
  const ScratchFolder folder;
  std::ifstream in(fixture, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const size_t at = bytes.find("\x16\xF0\x2E\x19") + 1;  // 3000, then the list of row groups
  ASSERT_NE(at, std::string::npos + 1);
  const auto problem = [&](char low) {
    bytes[at] = low;
    const auto path = folder.write("a.parquet", bytes);
    return input_error([&] {
      const auto records = open_records(path);
      for (Row row; records->next(row);) {
      }
    });
  };
  EXPECT_NE(problem('\xEE').find("a.parquet goes on after row 2999, its last by the footer"), std::string::npos);
  EXPECT_NE(problem('\xF2').find("a.parquet ends after row 3000 of 3001"), std::string::npos);
  EXPECT_NE(problem('\xEF').find("a.parquet has -3000 rows by its footer"), std::string::npos);
}

// Each copy has some bytes changed, most of them in the footer, or is cut short. --gtest_shuffle --gtest_repeat=N makes new copies.
TEST(Parquet, AnyDamageIsReadOrRefusedInOneLine) {
  const ScratchFolder folder;
  std::ifstream in(fixture, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  RandomStream random(static_cast<uint64_t>(testing::UnitTest::GetInstance()->random_seed()), "damaged parquet");
  size_t refused = 0;
  constexpr size_t copies = 300, footer = 2500;
  for (size_t copy = 0; copy < copies; ++copy) {
    std::string bytes = whole;
    for (uint64_t change = 0, n = 1 + random.below(8); change < n; ++change) {
      const size_t reach = random.below(3) == 0 ? bytes.size() : footer;
      bytes[bytes.size() - 1 - random.below(reach)] = static_cast<char>(random.below(256));
    }
    if (random.below(8) == 0) bytes.resize(random.below(bytes.size()));
    const auto path = folder.write("a.parquet", bytes);
    try {
      const auto records = open_records(path);
      for (Row row; records->next(row);) {
      }
    } catch (const InputError& error) {
      ++refused;
      ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(refused, copies / 4);
}
#else
TEST(Parquet, SaysHowToGetAReader) {
  EXPECT_NE(input_error([] { open_records(fixture); }).find("this build has no Parquet reader; install the wheel pyarrow"),
            std::string::npos);
}
#endif

}  // namespace
}  // namespace tessera::data
