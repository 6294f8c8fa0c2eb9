#include "tessera/run/correlation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace tessera::run {
namespace {

using Series = std::vector<double>;

TEST(Correlation, AgreesWithItsDefinitions) {
  std::ifstream golden(TESSERA_SOURCE_DIR "/tests/parity/golden/run_correlation.json");
  const auto cases = nlohmann::json::parse(golden)["cases"];
  EXPECT_GE(cases.size(), 5U);
  for (const auto& row : cases) {
    SCOPED_TRACE(row["kind"]);
    const auto x = row["x"].get<Series>(), y = row["y"].get<Series>();
    EXPECT_NEAR(pearson(x, y), row["pearson"].get<double>(), 1e-9);
    EXPECT_NEAR(spearman(x, y), row["spearman"].get<double>(), 1e-12);
    EXPECT_NEAR(kendall(x, y), row["kendall"].get<double>(), 1e-12);
    EXPECT_EQ(ranks(x), row["ranks_x"].get<Series>());
  }
}

TEST(Correlation, IsOneOfARisingFunctionForRanksOnly) {
  const Series x = {1, 2, 3, 4, 5, 6}, y = {1, 8, 27, 64, 125, 216}, down = {6, 5, 4, 3, 2, 1};
  EXPECT_DOUBLE_EQ(spearman(x, y), 1);
  EXPECT_DOUBLE_EQ(kendall(x, y), 1);
  EXPECT_LT(pearson(x, y), 0.95);
  EXPECT_DOUBLE_EQ(spearman(x, down), -1);
  EXPECT_DOUBLE_EQ(kendall(x, down), -1);
  EXPECT_DOUBLE_EQ(pearson(x, down), -1);
}

TEST(Correlation, EqualValuesShareTheMeanOfTheirRanks) {
  EXPECT_EQ(ranks(Series{5, 1, 5, 3, 5}), (Series{4, 1, 4, 2, 4}));
  EXPECT_TRUE(ranks(Series{}).empty());
}

TEST(Correlation, IsNotANumberWhereItIsUndefined) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (auto* measure : {pearson, spearman, kendall}) {
    EXPECT_TRUE(std::isnan(measure(Series{}, Series{})));
    EXPECT_TRUE(std::isnan(measure(Series{1}, Series{2})));
    EXPECT_TRUE(std::isnan(measure(Series{1, 1, 1}, Series{1, 2, 3})));
    EXPECT_TRUE(std::isnan(measure(Series{1, nan, 3}, Series{1, 2, 3})));
    EXPECT_THROW(measure(Series{1, 2}, Series{1}), std::logic_error);
  }
}

}  // namespace
}  // namespace tessera::run
