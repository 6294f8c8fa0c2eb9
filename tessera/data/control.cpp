#include "tessera/data/control.h"

#include <algorithm>
#include <cctype>

#include "tessera/data/prose.h"

namespace tessera::data {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The end of a field's name, or npos when the line is none: letters, digits and hyphens before a colon.
size_t field_name_end(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return std::string_view::npos;
  const bool name = std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon),
                                [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
  return name ? colon : std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

// What follows the first line of a value.
std::string_view after_first_line(std::string_view value) {
  const size_t at = value.find('\n');
  return at == std::string_view::npos ? std::string_view() : value.substr(at + 1);
}

}  // namespace

std::string_view field(const ControlParagraph& paragraph, std::string_view name) {
  for (const ControlField& f : paragraph)
    if (same_name(f.name, name)) return f.value;
  return {};
}

std::vector<ControlParagraph> parse_control(std::string_view text) {
  std::vector<ControlParagraph> paragraphs;
  ControlParagraph current;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trimmed(line).empty()) {
      if (!current.empty()) paragraphs.push_back(std::move(current));
      current.clear();
    } else if (line[0] == ' ' || line[0] == '\t') {
      if (current.empty()) continue;
      line.remove_prefix(1);
      current.back().value += '\n';
      if (trimmed(line) != ".") current.back().value += line;
    } else if (const size_t colon = field_name_end(line); line[0] != '#' && colon != std::string_view::npos) {
      current.push_back({std::string(line.substr(0, colon)), std::string(trimmed(line.substr(colon + 1)))});
    }
  }
  if (!current.empty()) paragraphs.push_back(std::move(current));
  return paragraphs;
}

std::string package_description(const ControlParagraph& paragraph) {
  std::string_view description = field(paragraph, "Description");
  if (description.empty()) description = field(paragraph, "Description-en");
  if (description.empty()) return "";
  const std::string_view first = description.substr(0, description.find('\n'));
  return clean_prose(std::string(field(paragraph, "Package")) + ": " + std::string(first) + "\n\n" +
                     unwrap_lines(after_first_line(description)));
}

std::string copyright_to_prose(std::string_view text) {
  const std::string utf8 = to_utf8(text);
  const std::string_view first_line = std::string_view(utf8).substr(0, utf8.find('\n'));
  if (!same_name(first_line.substr(0, std::min<size_t>(7, first_line.size())), "Format:")) return unwrap_lines(utf8);
  std::string prose;
  for (const ControlParagraph& paragraph : parse_control(utf8))
    for (const char* name : {"Disclaimer", "Comment", "License"}) {
      // The first line of a licence is its short name: the text follows.
      const std::string_view value = field(paragraph, name);
      const std::string_view body = same_name(name, "License") ? after_first_line(value) : value;
      if (!trimmed(body).empty()) prose += unwrap_lines(body) + "\n";
    }
  return clean_prose(prose);
}

}  // namespace tessera::data
