#pragma once
// A recipe: one TOML file with every setting of one run. Keys are option names; a dotted option name ("train.lr") is a key of a table.
//
//   version = 1
//   command = "shortgpt prune"
//   model = "smollm2"
//   layers = 3

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/run/options_parse.h"

namespace tessera::run {

constexpr int64_t kRecipeVersion = 1;

struct RecipeEntry {
  enum class Type { text, integer, number, flag, list, other };
  std::string key;
  Type type = Type::text;
  std::vector<std::string> values;  // one, or a list's items
  uint32_t line = 0, column = 0;    // of the value, from 1
  uint32_t key_line = 0, key_column = 0;
};

struct Recipe {
  std::string source;   // the file's name in messages
  std::string command;  // "shortgpt prune"; empty when the file has none
  uint32_t command_line = 0, command_column = 0;
  std::vector<RecipeEntry> entries;  // without version and command
};

// Throws InputError with line and column for broken TOML, a value that is no option's (a date, a list of lists), a version this program
// does not know.
Recipe parse_recipe(std::string_view toml, const std::string& source);
Recipe read_recipe(const std::filesystem::path& path);

// The recipe's values for a command's rows. Throws InputError "FILE:LINE:COLUMN: ..." for an unknown key (with the nearest) or a wrong
// type.
GivenOptions recipe_options(const Recipe& recipe, const std::vector<OptionRow>& rows, const std::string& command);

// The values of `--set key=value` words. Throws InputError for an unknown key or a word without "=".
GivenOptions parse_assignments(const std::vector<OptionRow>& rows, const std::vector<std::string>& words, const std::string& command);

// The resolved recipe: every row with the value it has (default or given), its help as a comment, inputs as absolute paths; rows without a
// value are comments. Rows that say how results are shown (json, quiet, verbose, force, recipe, set, help) are left out.
std::string write_recipe(const std::string& command, const std::vector<OptionRow>& rows, const GivenOptions& given);

// A JSON Schema (2020-12) of the recipes of one command.
nlohmann::ordered_json recipe_schema(const std::string& command, const std::string& help, const std::vector<OptionRow>& rows);

}  // namespace tessera::run
