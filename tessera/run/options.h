#pragma once
// A command's options: one table gives parsing, checks, --help, recipe keys, the environment form and completion.
//
//   OptionTable<PruneOptions> prune_options() {
//     return OptionTable<PruneOptions>()
//         .model("MODEL", &PruneOptions::model, "model to shorten")
//         .input("calib", &PruneOptions::calib, "text to calibrate on").required()
//         .number("layers", &PruneOptions::layers, Range{1, 1000}, "how many layers to remove").short_name('n').unit("layers")
//         .choice("metric", &PruneOptions::metric, {{"bi", Metric::block_influence, "1 - cosine"}, {"rm", Metric::relative, "..."}}, "what
//         ranks") .output("out", &PruneOptions::out, "new model folder; must not exist").required() .example("tessera shortgpt prune
//         smollm2 --calib book.txt --layers 3 --out small/", "remove three layers") .check(check_prune);  // void check_prune(const
//         PruneOptions&): what no single row can see; throws InputError
//   }
//
// A name in CAPITALS is positional and required (`.optional()` lifts that); it can also be given as --name. Members keep their initialisers
// as defaults; std::optional members have none. Members: std::string, std::filesystem::path, int, int64_t, uint64_t, float, double, bool,
// an enum (choice), std::optional of these, std::vector of these (input and list: several values). Program-wide options (--device --dtype
// --threads --seed --out --json --quiet --verbose --force --recipe --set --help) are added to every command by the program: see Settings in
// command.h. A command that gives one of these names a row of its own replaces it.

#include <type_traits>
#include <utility>

#include "tessera/run/options_row.h"

namespace tessera::run {

struct Example {
  std::string line, does;  // a line to copy; what it does, a few words
};

// One word a choice takes, the enum value it stands for, and what it means.
template <class E>
struct Choice {
  std::string name;
  E value;
  std::string help;
};

// Everything the program needs to know of a command's options, without their type.
struct CommandSpec {
  std::vector<OptionRow> rows;
  std::vector<Example> examples;
};

namespace detail {
template <class V>
struct Wrapped : std::false_type {
  using Inner = V;
};
template <class V>
struct Wrapped<std::optional<V>> : std::true_type {
  using Inner = V;
};
template <class V>
struct Listed : std::false_type {
  using Inner = V;
};
template <class V>
struct Listed<std::vector<V>> : std::true_type {
  using Inner = V;
};

template <class V>
void read_member(const OptionRow& row, const Given& given, V& member) {
  if constexpr (Wrapped<V>::value) {
    typename Wrapped<V>::Inner inner{};
    read_member(row, given, inner);
    member = std::move(inner);
  } else if constexpr (Listed<V>::value) {
    member.clear();
    for (const auto& value : given.values) {
      typename Listed<V>::Inner inner{};
      read_value(row, Given{{value}, given.source, given.where}, inner);
      member.push_back(std::move(inner));
    }
  } else {
    read_value(row, given, member);
  }
}

template <class V>
std::vector<std::string> show_member(const V& member) {
  if constexpr (Wrapped<V>::value) {
    return member ? show_member(*member) : std::vector<std::string>{};
  } else if constexpr (Listed<V>::value) {
    std::vector<std::string> shown;
    shown.reserve(member.size());
    for (const auto& value : member) shown.push_back(show_value(value));
    return shown;
  } else {
    auto shown = show_value(member);
    return shown.empty() ? std::vector<std::string>{} : std::vector<std::string>{std::move(shown)};
  }
}
}  // namespace detail

template <class T>
class OptionTable {
 public:
  using Settings = T;

  // A path that must exist before any work starts; a vector member takes one or more (`--calib a.txt b.txt`).
  template <class V>
  OptionTable& input(const std::string& name, V T::*member, std::string help) {
    return add(name, member, Kind::input, Group::input, "FILE", std::move(help));
  }
  // A model: a path, org/name in the Hugging Face cache, or the short name of an installed one; the member receives the path found.
  template <class V>
  OptionTable& model(const std::string& name, V T::*member, std::string help) {
    return add(name, member, Kind::model, Group::model, "MODEL", std::move(help));
  }
  template <class V>
  OptionTable& text(const std::string& name, V T::*member, std::string help) {
    return add(name, member, Kind::text, Group::method, "TEXT", std::move(help));
  }
  // Whole numbers for integral members, else real ones. Non-finite values are refused.
  template <class V>
  OptionTable& number(const std::string& name, V T::*member, Range range, std::string help) {
    using Inner = typename detail::Listed<typename detail::Wrapped<V>::Inner>::Inner;
    constexpr bool whole = std::is_integral_v<Inner>;
    add(name, member, whole ? Kind::integer : Kind::number, Group::method, whole ? "N" : "X", std::move(help));
    rows_.back().range = range;
    return *this;
  }
  // One of a few words, each standing for a value of the member's enum (or for a text).
  template <class V>
  OptionTable& choice(const std::string& name, V T::*member, std::vector<Choice<typename detail::Wrapped<V>::Inner>> choices,
                      std::string help) {
    OptionRow row = new_row(name, Kind::choice, Group::method, "WORD", std::move(help));
    const V initial = T{}.*member;
    for (const auto& each : choices) {
      row.choices.push_back({each.name, each.help});
      if (initial == each.value) row.defaults = {each.name};
    }
    row.assign = [member, choices = std::move(choices)](void* settings, const OptionRow& self, const Given& given) {
      static_cast<T*>(settings)->*member = choices[read_choice(self, given)].value;
    };
    rows_.push_back(std::move(row));
    return *this;
  }
  // --name sets it, --no-name clears it.
  OptionTable& flag(const std::string& name, bool T::*member, std::string help) {
    return add(name, member, Kind::flag, Group::method, "", std::move(help));
  }
  // Several values: `--name a,b,c`, or --name given again. The member is a vector.
  template <class V>
  OptionTable& list(const std::string& name, std::vector<V> T::*member, std::string help) {
    return add(name, member, Kind::list, Group::method, "A,B,..", std::move(help));
  }
  // A path to write: must not exist yet (an empty folder may) unless --force is given; its parent must.
  template <class V>
  OptionTable& output(const std::string& name, V T::*member, std::string help) {
    return add(name, member, Kind::output, Group::output, "PATH", std::move(help));
  }

  // Each of these changes the row added last.
  OptionTable& short_name(char letter) { return rows_.back().short_name = letter, *this; }
  OptionTable& unit(std::string unit) { return rows_.back().unit = std::move(unit), *this; }
  OptionTable& group(Group group) { return rows_.back().group = group, *this; }
  OptionTable& metavar(std::string name) { return rows_.back().metavar = std::move(name), *this; }
  OptionTable& required() { return rows_.back().required = true, *this; }
  OptionTable& optional() { return rows_.back().required = false, *this; }

  // A line to copy from --help; every command shows three.
  OptionTable& example(std::string line, std::string does) { return examples_.push_back({std::move(line), std::move(does)}), *this; }
  // Runs after all rows are read and before any work; throws InputError.
  OptionTable& check(std::function<void(const T&)> check) { return checks_.push_back(std::move(check)), *this; }

  const std::vector<OptionRow>& rows() const& { return rows_; }
  std::vector<OptionRow> rows() && { return std::move(rows_); }
  CommandSpec spec() const { return {rows_, examples_}; }
  const std::vector<std::function<void(const T&)>>& checks() const { return checks_; }

 private:
  OptionRow new_row(const std::string& name, Kind kind, Group group, const std::string& metavar, std::string help) {
    OptionRow row;
    row.positional = !name.empty() && name.front() >= 'A' && name.front() <= 'Z';
    row.required = row.positional;
    for (char c : name) row.name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    row.metavar = row.positional ? name : metavar;
    row.kind = kind;
    row.group = group;
    row.help = std::move(help);
    return row;
  }
  template <class V>
  OptionTable& add(const std::string& name, V T::*member, Kind kind, Group group, const std::string& metavar, std::string help) {
    OptionRow row = new_row(name, kind, group, metavar, std::move(help));
    row.many = detail::Listed<typename detail::Wrapped<V>::Inner>::value;
    row.defaults = detail::show_member(T{}.*member);
    row.assign = [member](void* settings, const OptionRow& self, const Given& given) {
      detail::read_member(self, given, static_cast<T*>(settings)->*member);
    };
    rows_.push_back(std::move(row));
    return *this;
  }

  std::vector<OptionRow> rows_;
  std::vector<Example> examples_;
  std::vector<std::function<void(const T&)>> checks_;
};

}  // namespace tessera::run
