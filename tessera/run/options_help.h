#pragma once
// --help of one command, from its table. At most 100 columns.

#include <string>
#include <string_view>
#include <vector>

#include "tessera/run/options.h"

namespace tessera::run {

constexpr size_t kHelpWidth = 100;

// "tessera shortgpt prune MODEL --out PATH [options]"
std::string usage_line(const std::string& command, const std::vector<OptionRow>& rows);

// First line what the command does, then usage, examples, options by group with unit, range and default. Ends with a newline.
std::string help_text(const std::string& command, const std::string& help, const CommandSpec& spec);

// "-n, --layers N" and, for a positional, "MODEL".
std::string option_head(const OptionRow& row);
// "how many layers to remove (layers, 1 to 1000) [default 3]"
std::string option_body(const OptionRow& row);
// "input", "model", "method", "output", "run"
const char* name_of(Group group);

// `text` broken at blanks into lines of at most `width` columns (UTF-8 characters count one), joined with newline + `indent` blanks.
std::string wrap(std::string_view text, size_t width, size_t indent);
// Entries of two columns, the second wrapped: "  name    what it is".
std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows, size_t left, size_t indent = 2);

}  // namespace tessera::run
