#include "tessera/run/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/run/command.h"

namespace tessera::run {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Trained {
  std::string text = "a \"quoted\"\tline\nand another \\ \x01";
  int64_t layers = 3;
  double rate = 1e-5;
  bool tied = true;
  std::vector<std::string> names = {"x", "y, z"};
  std::optional<double> ratio;
};

OptionTable<Trained> trained_options() {
  return OptionTable<Trained>()
      .text("text", &Trained::text, "some text")
      .number("layers", &Trained::layers, Range{1, 1000}, "how many")
      .unit("layers")
      .number("train.lr", &Trained::rate, Range{0, 1}, "learning rate")
      .flag("tied", &Trained::tied, "tie the head")
      .list("names", &Trained::names, "names")
      .number("ratio", &Trained::ratio, Range{0, 1}, "share");
}

Trained read(const std::string& toml) {
  const auto table = trained_options();
  return fill(table, recipe_options(parse_recipe(toml, "r.toml"), table.rows(), "train"));
}

std::string error_of(const std::string& toml) {
  try {
    read(toml);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Recipe, GivesItsValuesToTheTable) {
  const auto trained =
      read("version = 1\ncommand = \"train\"\nlayers = 7\ntied = false\nnames = [\"p\", \"q\"]\nratio = 1\n[train]\nlr = 3e-4\n");
  EXPECT_EQ(trained.layers, 7);
  EXPECT_FALSE(trained.tied);
  EXPECT_DOUBLE_EQ(trained.rate, 3e-4);
  EXPECT_DOUBLE_EQ(trained.ratio.value(), 1.0);
  EXPECT_THAT(trained.names, ElementsAre("p", "q"));
}

TEST(Recipe, ErrorsHaveLineAndColumn) {
  EXPECT_EQ(error_of("layers = 3\nlayer = 4\n"), "r.toml:2:1: unknown key layer; did you mean layers?");
  EXPECT_EQ(error_of("\n[train]\n  lrr = 1e-3\n"), "r.toml:3:3: unknown key train.lrr; did you mean train.lr?");
  EXPECT_EQ(error_of("layers = \"three\"\n"), "r.toml:1:10: layers = three: a text where a whole number belongs; give 1 to 1000");
  EXPECT_EQ(error_of("layers = 2.5\n"), "r.toml:1:10: layers = 2.5: a number where a whole number belongs; give 1 to 1000");
  EXPECT_EQ(error_of("tied = 1\n"), "r.toml:1:8: tied = 1: a whole number where true or false belongs; give true or false");
  EXPECT_EQ(error_of("text = [1, 2]\n"), "r.toml:1:8: text = 1, 2: a list where a text belongs; give a text");
  EXPECT_EQ(error_of("layers = 2000\n"), "r.toml:1:10: layers = 2000: out of range; give 1 to 1000");
  EXPECT_EQ(error_of("json = true\n"), "r.toml:1:1: unknown key json; tessera train --help lists the options, which are the keys");
  EXPECT_EQ(error_of("version = 2\n"), "r.toml:1:11: version = 2: not a version this program reads; give 1, or take a newer Tessera");
  EXPECT_EQ(error_of("layers = 1979-05-27\n"),
            "r.toml:1:10: layers holds what no option takes; give a text, a number, true or false, or a list of these");
  EXPECT_THAT(error_of("tied = \u00E9\n"), HasSubstr("r.toml:1:8: "));
  EXPECT_THAT(error_of("\u021E = 1\n"), HasSubstr("r.toml:1:1: "));
  EXPECT_THAT(error_of("layers = \n"), HasSubstr("r.toml:1:10: "));
  EXPECT_THAT(error_of("layers = 1\nlayers = 2\n"), HasSubstr("r.toml:2:1"));
}

TEST(Recipe, WhatIsWrittenReadsBackAsTheSameSettings) {
  const auto table = trained_options();
  const auto rows = with_program_options(table.rows());
  GivenOptions given = {{"layers", Given{{"12"}, Source::option, ""}}, {"train.lr", Given{{".5"}, Source::option, ""}}};
  const std::string toml = write_recipe("train", rows, given);
  EXPECT_THAT(toml, HasSubstr("version = 1\ncommand = \"train\"\n"));
  EXPECT_THAT(toml, HasSubstr("# how many, layers (1 to 1000)\nlayers = 12\n"));
  EXPECT_THAT(toml, HasSubstr("# ratio =\n"));
  EXPECT_THAT(toml, HasSubstr("dtype = \"auto\"\n"));
  EXPECT_THAT(toml, testing::Not(HasSubstr("json")));
  const Recipe recipe = parse_recipe(toml, "again.toml");
  EXPECT_EQ(recipe.command, "train");
  const auto again = fill(table, recipe_options(recipe, rows, "train"));
  EXPECT_EQ(again.layers, 12);
  EXPECT_DOUBLE_EQ(again.rate, 0.5);
  EXPECT_EQ(again.text, Trained{}.text);
  EXPECT_EQ(again.names, Trained{}.names);
  EXPECT_EQ(write_recipe("train", rows, recipe_options(recipe, rows, "train")), toml);
}

TEST(Recipe, AssignmentsAreCheckedLikeKeys) {
  const auto table = trained_options();
  const auto given = parse_assignments(table.rows(), {"train.lr=0.1", "names=p,q", "text=a=b"}, "train");
  EXPECT_EQ(given.at("train.lr").values.front(), "0.1");
  EXPECT_THAT(given.at("names").values, ElementsAre("p", "q"));
  EXPECT_EQ(given.at("text").values.front(), "a=b");
  try {
    parse_assignments(table.rows(), {"layer=3"}, "train");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "--set layer=3: unknown key layer; did you mean --layers?");
  }
  EXPECT_THROW(parse_assignments(table.rows(), {"layers"}, "train"), InputError);
}

TEST(Recipe, SchemaNamesTypesLimitsAndDefaults) {
  const auto schema = recipe_schema("train", "train a model", trained_options().rows());
  EXPECT_EQ(schema["properties"]["command"]["const"], "train");
  EXPECT_EQ(schema["properties"]["layers"]["type"], "integer");
  EXPECT_EQ(schema["properties"]["layers"]["minimum"], 1);
  EXPECT_EQ(schema["properties"]["layers"]["default"], 3);
  EXPECT_EQ(schema["properties"]["train"]["properties"]["lr"]["type"], "number");
  EXPECT_FALSE(schema["additionalProperties"].get<bool>());
}

}  // namespace
}  // namespace tessera::run
