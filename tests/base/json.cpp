#include "tessera/base/json.h"

#include <gtest/gtest.h>

namespace tessera {

static std::string json_problem(std::string_view text) {
  try {
    parse_json(text, "a.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

static std::string nested(int levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(ParseJson, NamesFileLineAndColumnOfAFault) {
  EXPECT_EQ(parse_json(R"({"b": 1, "a": [true]})", "a.json").dump(), R"({"b":1,"a":[true]})");
  EXPECT_TRUE(json_problem("{\n\"a\" 1}").starts_with("a.json: not JSON: ")) << json_problem("{\n\"a\" 1}");
  EXPECT_NE(json_problem("{\n\"a\" 1}").find("line 2, column 5"), std::string::npos) << json_problem("{\n\"a\" 1}");
  EXPECT_NE(json_problem("// a\n{}"), "");
  EXPECT_EQ(parse_json("// a [\n{}", "a.json", JsonComments::ignored).dump(), "{}");
}

// Copying or printing a value of a million levels would exhaust the stack.
TEST(ParseJson, RefusesWhatNestsTooDeep) {
  EXPECT_EQ(json_problem(nested(kDeepestJson)), "");
  EXPECT_EQ(json_problem(nested(kDeepestJson + 2)), "a.json: not JSON: nested deeper than 200 levels; copy the file again");
  EXPECT_NE(json_problem(nested(1'000'000)), "");
  EXPECT_NE(json_problem("{\"a\": " + nested(1'000'000) + "}"), "");
  EXPECT_EQ(json_problem("\"" + nested(1'000'000) + "\""), "");  // brackets in a text are none
}

TEST(ParseJson, TriesWithoutAnError) {
  EXPECT_EQ(try_parse_json("[1, 2]"), nlohmann::ordered_json({1, 2}));
  for (const std::string& text : {std::string(""), std::string("{"), nested(1'000'000)}) EXPECT_TRUE(try_parse_json(text).is_discarded());
}

}  // namespace tessera
