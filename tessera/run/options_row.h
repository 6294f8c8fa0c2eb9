#pragma once
// One row of a command's option table without the type of its settings struct: what parsing, --help, recipes, completion, the man page and
// the interface's golden file read. Method authors use options.h; this header is what lies under it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace tessera::run {

enum class Kind { input, model, text, integer, number, choice, flag, list, output };
enum class Group { input, model, method, output, run };  // the headings of --help, in this order

// Both ends belong to the range. Whole numbers up to 2^53 are exact.
struct Range {
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
};

struct ChoiceHelp {
  std::string name, help;
};

enum class Source { recipe, environment, option };

// A value as a person wrote it, before any conversion.
struct Given {
  std::vector<std::string> values;  // one, or several for inputs and lists
  Source source = Source::option;
  std::string where;  // what a message puts before the value: "--layers ", "TESSERA_LAYERS=", "prune.toml:4:10: layers = "
};

struct OptionRow {
  std::string name;  // lower case: option --name, recipe key name, environment TESSERA_NAME (- and . become _)
  std::string metavar;
  char short_name = 0;  // 0: none
  Kind kind = Kind::text;
  Group group = Group::method;
  bool positional = false;  // may be given without its --name
  bool required = false;
  bool many = false;  // takes several values
  std::string help, unit;
  std::optional<Range> range;
  std::vector<ChoiceHelp> choices;
  std::vector<std::string> defaults;  // the default as a person would write it; empty: none
  // Converts and stores into the settings struct behind the pointer. Throws InputError naming given, expected and mend.
  std::function<void(void* settings, const OptionRow& row, const Given& given)> assign;
};

// "--layers abc: not a whole number; give 1 to 1000": `problem` is put after where + value, `mend` after "; ".
[[noreturn]] void refuse_value(const Given& given, const std::string& value, const std::string& problem, const std::string& mend);

// "1 to 1000", "0 or more", "any number".
std::string describe(const Range& range);

// Conversions of one row's values, each throwing InputError as above. Integers take decimal digits and a sign, numbers also 1e-3; flags
// take true/false/1/0/yes/no/on/off. Inputs must exist; outputs must not (an empty folder may), unless `may_overwrite`.
void read_value(const OptionRow& row, const Given& given, std::string& out);
void read_value(const OptionRow& row, const Given& given, std::filesystem::path& out);
void read_value(const OptionRow& row, const Given& given, int& out);
void read_value(const OptionRow& row, const Given& given, int64_t& out);
void read_value(const OptionRow& row, const Given& given, uint64_t& out);
void read_value(const OptionRow& row, const Given& given, float& out);
void read_value(const OptionRow& row, const Given& given, double& out);
void read_value(const OptionRow& row, const Given& given, bool& out);

// Index into row.choices of the given word; an unknown word is answered with the nearest one and the whole list.
size_t read_choice(const OptionRow& row, const Given& given);

// The default of a member as a person would write it; "" for an empty text.
std::string show_value(const std::string& value);
std::string show_value(const std::filesystem::path& value);
std::string show_value(int value);
std::string show_value(int64_t value);
std::string show_value(uint64_t value);
std::string show_value(float value);
std::string show_value(double value);
std::string show_value(bool value);

// The one of `names` that is nearest to `given` (edit distance at most a third of its length, at least 2), or "".
std::string nearest(const std::string& given, const std::vector<std::string>& names);

}  // namespace tessera::run
