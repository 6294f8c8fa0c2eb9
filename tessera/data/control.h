#pragma once
// Debian's control format: paragraphs of "Field: value" lines, continued by lines that start with a space. Package lists and
// machine-readable copyright files are written in it.

#include <string>
#include <string_view>
#include <vector>

namespace tessera::data {

struct ControlField {
  std::string name;
  std::string value;  // lines joined with '\n'; the leading space of continued lines is gone and " ." is an empty line
};

using ControlParagraph = std::vector<ControlField>;

// The value of the first field called `name` (any case), or "" when the paragraph has none.
std::string_view field(const ControlParagraph& paragraph, std::string_view name);

// All paragraphs of `text`. Lines that are neither a field nor a continuation are skipped; comments (#) too.
std::vector<ControlParagraph> parse_control(std::string_view text);

// "Name: one line.\n\nLong description ..." of a package paragraph, in clean_prose's form; "" without a description.
std::string package_description(const ControlParagraph& paragraph);

// The prose of a copyright file: of a machine-readable one the licence texts and comments, of any other the whole text unwrapped.
std::string copyright_to_prose(std::string_view text);

}  // namespace tessera::data
