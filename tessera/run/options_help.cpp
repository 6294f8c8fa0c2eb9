#include "tessera/run/options_help.h"

#include <fmt/format.h>

#include <algorithm>

namespace tessera::run {

namespace {

constexpr size_t kLeftColumn = 26;

size_t columns_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool takes_many_words(const OptionRow& row) { return row.many && (row.kind == Kind::input || row.kind == Kind::model); }

std::string group_text(const std::vector<OptionRow>& rows, Group group) {
  std::string out;
  for (const auto& row : rows) {
    if (row.group != group) continue;
    out += two_columns({{option_head(row), option_body(row)}}, kLeftColumn);
    std::vector<std::pair<std::string, std::string>> choices;
    size_t left = 0;
    for (const auto& choice : row.choices) {
      choices.emplace_back(choice.name, choice.help);
      left = std::max(left, choice.name.size() + 2);
    }
    out += two_columns(choices, left, kLeftColumn + 4);
  }
  return out.empty() ? out : fmt::format("\n{}:\n{}", name_of(group), out);
}

}  // namespace

std::string wrap(std::string_view text, size_t width, size_t indent) {
  std::string out;
  size_t used = 0;
  while (!text.empty()) {
    const size_t begin = text.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    const size_t columns = columns_of(word);
    if (used > 0 && used + 1 + columns > width) {
      out += "\n" + std::string(indent, ' ');
      used = 0;
    } else if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += columns;
  }
  return out;
}

std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows, size_t left, size_t indent) {
  std::string out;
  const size_t text_begin = indent + left;
  for (const auto& [name, text] : rows) {
    std::string line = std::string(indent, ' ') + name;
    if (columns_of(line) + 2 > text_begin && columns_of(name) + 1 > left) {
      line += "\n" + std::string(text_begin, ' ');
    } else {
      line += std::string(text_begin - columns_of(line), ' ');
    }
    out += line + wrap(text, kHelpWidth - text_begin, text_begin) + "\n";
  }
  return out;
}

const char* name_of(Group group) {
  switch (group) {
    case Group::input:
      return "input";
    case Group::model:
      return "model";
    case Group::method:
      return "method";
    case Group::output:
      return "output";
    case Group::run:
      break;
  }
  return "run";
}

std::string option_head(const OptionRow& row) {
  const std::string more = takes_many_words(row) ? "..." : "";
  if (row.positional) return row.metavar + more;
  std::string head = row.short_name != 0 ? fmt::format("-{}, ", row.short_name) : "    ";
  head += "--" + row.name;
  if (row.kind == Kind::flag) return head;
  if (row.kind == Kind::choice) {
    std::vector<std::string> names;
    size_t length = 0;
    for (const auto& choice : row.choices) {
      names.push_back(choice.name);
      length += choice.name.size() + 1;
    }
    if (length <= 16) return fmt::format("{} {}", head, fmt::join(names, "|"));
  }
  return head + " " + row.metavar + more;
}

std::string option_body(const OptionRow& row) {
  std::string body = row.help;
  std::string limits = row.unit;
  if (row.range) limits += (limits.empty() ? "" : ", ") + describe(*row.range);
  if (!limits.empty()) body += " (" + limits + ")";
  if (row.required && !row.positional) body += " [required]";
  if (!row.required && row.positional) body += " [may be left out]";
  if (!row.defaults.empty() && row.kind != Kind::flag) body += fmt::format(" [default {}]", fmt::join(row.defaults, ","));
  if (row.kind == Kind::flag && !row.defaults.empty() && row.defaults.front() == "true")
    body += fmt::format(" [default on; --no-{}]", row.name);
  return body;
}

std::string usage_line(const std::string& command, const std::vector<OptionRow>& rows) {
  std::string line = "tessera " + command;
  for (const auto& row : rows) {
    const std::string more = takes_many_words(row) ? "..." : "";
    if (row.positional) line += row.required ? " " + row.metavar + more : " [" + row.metavar + more + "]";
    if (!row.positional && row.required) line += fmt::format(" --{} {}{}", row.name, row.metavar, more);
  }
  return line + " [options]";
}

std::string help_text(const std::string& command, const std::string& help, const CommandSpec& spec) {
  std::string first = help;
  if (!first.empty() && first.front() >= 'a' && first.front() <= 'z') first.front() = static_cast<char>(first.front() - 'a' + 'A');
  std::string out = wrap(first, kHelpWidth, 0) + (first.ends_with('.') ? "" : ".") +
                    "\n\nusage: " + wrap(usage_line(command, spec.rows), kHelpWidth - 7, 9) + "\n";
  if (!spec.examples.empty()) out += "\nexamples:\n";
  for (const auto& example : spec.examples) out += fmt::format("  {}\n      {}\n", example.line, example.does);
  for (const auto group : {Group::input, Group::model, Group::method, Group::output, Group::run}) out += group_text(spec.rows, group);
  out += "\nEvery option has an environment form (TESSERA_DTYPE): default < recipe < environment < option.\n";
  return out;
}

}  // namespace tessera::run
