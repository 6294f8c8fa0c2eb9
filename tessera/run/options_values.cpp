#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/run/installed.h"
#include "tessera/run/options_row.h"

namespace tessera::run {

namespace {

namespace fs = std::filesystem;

const std::string& only_value(const OptionRow& row, const Given& given) {
  if (given.values.size() != 1)
    refuse_value(given, fmt::format("{}", fmt::join(given.values, " ")), fmt::format("{} values", given.values.size()),
                 fmt::format("--{} takes one", row.name));
  return given.values.front();
}

std::string listed_words(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

template <class V>
V read_whole(const OptionRow& row, const Given& given) {
  const std::string& text = only_value(row, given);
  const Range range = row.range.value_or(Range{});
  V value{};
  const char* begin = text.data() + (text.size() > 1 && text[0] == '+' ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size();
  if (whole && error == std::errc::result_out_of_range)
    refuse_value(given, text, "too large a number", fmt::format("give {}", describe(range)));
  if (error != std::errc{} || !whole) refuse_value(given, text, "not a whole number", fmt::format("give {}", describe(range)));
  if (static_cast<double>(value) < range.lowest || static_cast<double>(value) > range.highest)
    refuse_value(given, text, "out of range", fmt::format("give {}", describe(range)));
  return value;
}

double read_real(const OptionRow& row, const Given& given) {
  const std::string& text = only_value(row, given);
  const Range range = row.range.value_or(Range{});
  double value = 0;
  const char* begin = text.data() + (text.size() > 1 && text[0] == '+' ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    refuse_value(given, text, "not a number", fmt::format("give {}", describe(range)));
  if (value < range.lowest || value > range.highest) refuse_value(given, text, "out of range", fmt::format("give {}", describe(range)));
  return value;
}

void check_input(const Given& given, const std::string& text) {
  std::error_code error;
  if (text.empty()) refuse_value(given, text, "an empty path", "give a file");
  if (text == "-") return;  // standard input, where a command takes it
  if (!fs::exists(text, error)) {
    const auto parent = fs::path(text).parent_path();
    if (!parent.empty() && !fs::is_directory(parent, error))
      refuse_value(given, text, fmt::format("no such file, and no folder {}", tessera::quoted(parent.string())), "check the path");
    refuse_value(given, text, "no such file", "check the path");
  }
}

void check_output(const Given& given, const std::string& text) {
  std::error_code error;
  if (text.empty()) refuse_value(given, text, "an empty path", "give a file or folder to write");
  const auto parent = fs::absolute(fs::path(text), error).lexically_normal().parent_path();
  const auto folder = fs::path(text).has_filename() ? parent : parent.parent_path();  // "out/" names the folder out itself
  if (!fs::is_directory(folder, error))
    refuse_value(given, text, fmt::format("there is no folder {}", tessera::quoted(folder.string())), "make it first");
}

}  // namespace

void refuse_value(const Given& given, const std::string& value, const std::string& problem, const std::string& mend) {
  throw InputError("{}{}: {}; {}", given.where, tessera::quoted(value), problem, mend);
}

std::string describe(const Range& range) {
  const bool low = std::isfinite(range.lowest), high = std::isfinite(range.highest);
  if (low && high) return fmt::format("{} to {}", range.lowest, range.highest);
  if (low) return fmt::format("{} or more", range.lowest);
  if (high) return fmt::format("{} or less", range.highest);
  return "any number";
}

void read_value(const OptionRow& row, const Given& given, std::string& out) {
  const std::string& text = only_value(row, given);
  if (row.kind == Kind::input) check_input(given, text);
  if (row.kind == Kind::output) check_output(given, text);
  out = row.kind == Kind::model ? find_model(text, given.where).string() : text;
}

void read_value(const OptionRow& row, const Given& given, fs::path& out) {
  std::string text;
  read_value(row, given, text);
  out = text;
}

void read_value(const OptionRow& row, const Given& given, int& out) { out = read_whole<int>(row, given); }
void read_value(const OptionRow& row, const Given& given, int64_t& out) { out = read_whole<int64_t>(row, given); }
void read_value(const OptionRow& row, const Given& given, uint64_t& out) { out = read_whole<uint64_t>(row, given); }
void read_value(const OptionRow& row, const Given& given, float& out) { out = static_cast<float>(read_real(row, given)); }
void read_value(const OptionRow& row, const Given& given, double& out) { out = read_real(row, given); }

void read_value(const OptionRow& row, const Given& given, bool& out) {
  const std::string& text = only_value(row, given);
  for (const char* yes : {"true", "1", "yes", "on"})
    if (text == yes) return void(out = true);
  for (const char* no : {"false", "0", "no", "off"})
    if (text == no) return void(out = false);
  refuse_value(given, text, "neither true nor false", "give one of the two");
}

size_t read_choice(const OptionRow& row, const Given& given) {
  const std::string& text = only_value(row, given);
  std::vector<std::string> names;
  for (const auto& choice : row.choices) {
    if (choice.name == text) return names.size();
    names.push_back(choice.name);
  }
  const std::string near = nearest(text, names);
  refuse_value(
      given, text, "unknown",
      near.empty() ? fmt::format("give one of {}", listed_words(names)) : fmt::format("did you mean {}? ({})", near, listed_words(names)));
}

std::string show_value(const std::string& value) { return value; }
std::string show_value(const fs::path& value) { return value.string(); }
std::string show_value(int value) { return fmt::format("{}", value); }
std::string show_value(int64_t value) { return fmt::format("{}", value); }
std::string show_value(uint64_t value) { return fmt::format("{}", value); }
std::string show_value(float value) { return fmt::format("{}", value); }
std::string show_value(double value) { return fmt::format("{}", value); }
std::string show_value(bool value) { return value ? "true" : "false"; }

std::string nearest(const std::string& given, const std::vector<std::string>& names) {
  const std::string word = given.substr(0, 64);
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  std::string found;
  for (const auto& name : names) {
    std::vector<size_t> costs(name.size() + 1);
    std::iota(costs.begin(), costs.end(), size_t{0});
    for (size_t i = 0; i < word.size(); ++i) {
      size_t diagonal = std::exchange(costs[0], i + 1);
      for (size_t j = 0; j < name.size(); ++j) {
        const size_t replaced = diagonal + (word[i] == name[j] ? 0 : 1);
        diagonal = std::exchange(costs[j + 1], std::min({replaced, costs[j] + 1, costs[j + 1] + 1}));
      }
    }
    if (costs.back() < best && costs.back() < std::max(word.size(), name.size())) {
      best = costs.back();
      found = name;
    }
  }
  return found;
}

}  // namespace tessera::run
