#pragma once
// From the words of a command line, the environment and a recipe to one value an option: default < recipe < environment < option.

#include <map>
#include <string>
#include <vector>

#include "tessera/run/options_row.h"

namespace tessera::run {

// The values somebody gave, by option name. Defaults are not in it.
using GivenOptions = std::map<std::string, Given>;

// Reads `words` (without the command itself). Options may stand before and after positionals: `--name value`, `--name=value`, `-n value`,
// `--flag`, `--no-flag`; `--` ends options. An option that takes several values takes all words up to the next option, but leaves the last
// ones to required positionals that would stay empty. Throws InputError: unknown option (with the nearest name), missing value, an option
// given twice, a word too many. `command` names the command in messages ("shortgpt prune").
GivenOptions parse_words(const std::vector<OptionRow>& rows, const std::vector<std::string>& words, const std::string& command);

// Adds the values of `more` that are not given yet, or only from a weaker source.
void merge(GivenOptions& given, const GivenOptions& more);

// The rows' environment forms that are set and not empty, read through `lookup` (std::getenv).
GivenOptions parse_environment(const std::vector<OptionRow>& rows, const std::function<const char*(const char*)>& lookup);

// "layers" -> "TESSERA_LAYERS", "train.lr" -> "TESSERA_TRAIN_LR".
std::string environment_name(const std::string& option);

// The row of that name; nullptr when there is none.
const OptionRow* find_row(const std::vector<OptionRow>& rows, const std::string& name);

// "; did you mean --layers?" as a hint without the "; ", or the way to the list of options.
std::string option_hint(const std::vector<OptionRow>& rows, const std::string& name, const std::string& command);

}  // namespace tessera::run
