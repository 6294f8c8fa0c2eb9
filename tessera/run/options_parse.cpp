#include "tessera/run/options_parse.h"

#include <fmt/format.h>

#include <algorithm>

#include "tessera/base/error.h"

namespace tessera::run {

namespace {

// A word that starts like an option and is not a negative number.
bool looks_like_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9') && !(word[1] == '.' && word.size() > 2);
}

class WordReader {
 public:
  WordReader(const std::vector<OptionRow>& rows, const std::vector<std::string>& words, const std::string& command)
      : rows_(rows), words_(words), command_(command) {}

  GivenOptions read() {
    bool options_ended = false;
    while (at_ < words_.size()) {
      const std::string& word = words_[at_++];
      if (options_ended || !looks_like_option(word)) {
        free_words_.push_back(word);
      } else if (word == "--") {
        options_ended = true;
      } else if (word[1] == '-') {
        read_long(word.substr(2));
      } else {
        read_short(word);
      }
    }
    assign_free_words();
    return std::move(given_);
  }

 private:
  void read_long(const std::string& text) {
    const auto equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const OptionRow* row = find_row(rows_, name);
    if (row == nullptr && name.starts_with("no-")) {
      const OptionRow* flag = find_row(rows_, name.substr(3));
      if (flag != nullptr && flag->kind == Kind::flag && equals == std::string::npos) return give(*flag, {"false"}, "--" + name);
    }
    if (row == nullptr) throw InputError("unknown option {}; {}", tessera::quoted("--" + name), option_hint(rows_, name, command_));
    if (equals != std::string::npos) return give(*row, {text.substr(equals + 1)}, "--" + name);
    read_values(*row, "--" + name);
  }

  void read_short(const std::string& word) {
    const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const OptionRow& each) { return each.short_name == word[1]; });
    if (row == rows_.end()) throw InputError("unknown option {}; {}", tessera::quoted(word), option_hint(rows_, word.substr(1), command_));
    const std::string name = word.substr(0, 2);
    if (word.size() == 2) return read_values(*row, name);
    if (row->kind != Kind::flag) return give(*row, {word.substr(word[2] == '=' ? 3 : 2)}, name);
    give(*row, {"true"}, name);
    read_short("-" + word.substr(2));  // -qv is -q -v
  }

  void read_values(const OptionRow& row, const std::string& name) {
    if (row.kind == Kind::flag) return give(row, {"true"}, name);
    std::vector<std::string> values;
    while (at_ < words_.size() && !looks_like_option(words_[at_]) &&
           (values.empty() || (row.many && (row.kind == Kind::input || row.kind == Kind::model))))
      values.push_back(words_[at_++]);
    if (values.empty()) throw InputError("{} needs a value; give {} {}", name, name, row.metavar);
    if (values.size() > 1) greedy_ = &row;
    give(row, std::move(values), name);
  }

  void give(const OptionRow& row, std::vector<std::string> values, const std::string& name) {
    if (row.kind == Kind::list) values = split(values.front());
    const auto [place, fresh] = given_.try_emplace(row.name, Given{{}, Source::option, name + (row.kind == Kind::flag ? "=" : " ")});
    if (!fresh && !row.many)
      throw InputError("{} is given twice: {} and {}; give it once", name, tessera::quoted(place->second.values.front()),
                       tessera::quoted(values.front()));
    auto& all = place->second.values;
    all.insert(all.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
  }

  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
      if (c == ',') {
        parts.emplace_back();
      } else {
        parts.back() += c;
      }
    }
    return parts;
  }

  void assign_free_words() {
    std::vector<const OptionRow*> open;  // positionals without a value, in order
    size_t needed = 0;
    for (const auto& row : rows_)
      if (row.positional && !given_.contains(row.name)) {
        open.push_back(&row);
        needed += row.required ? 1 : 0;
      }
    if (greedy_ != nullptr) {
      auto& taken = given_[greedy_->name].values;
      while (free_words_.size() < needed && taken.size() > 1) {
        free_words_.insert(free_words_.begin(), taken.back());
        taken.pop_back();
      }
    }
    size_t next = 0;
    for (size_t i = 0; i < open.size() && next < free_words_.size(); ++i) {
      if (open[i]->required) --needed;
      if (!open[i]->required && free_words_.size() - next <= needed) continue;  // the later ones cannot do without
      const size_t count = open[i]->many ? free_words_.size() - next - needed : 1;
      const auto begin = free_words_.begin() + static_cast<std::ptrdiff_t>(next);
      given_[open[i]->name] = {{begin, begin + static_cast<std::ptrdiff_t>(count)}, Source::option, open[i]->metavar + " "};
      next += count;
    }
    if (next < free_words_.size())
      throw InputError("one word too many: {}; tessera {} --help shows what it takes", tessera::quoted(free_words_[next]), command_);
  }

  const std::vector<OptionRow>& rows_;
  const std::vector<std::string>& words_;
  const std::string& command_;
  size_t at_ = 0;
  std::vector<std::string> free_words_;
  const OptionRow* greedy_ = nullptr;  // the option that last took more than one word
  GivenOptions given_;
};

}  // namespace

GivenOptions parse_words(const std::vector<OptionRow>& rows, const std::vector<std::string>& words, const std::string& command) {
  return WordReader(rows, words, command).read();
}

void merge(GivenOptions& given, const GivenOptions& more) {
  for (const auto& [name, value] : more) {
    const auto [place, fresh] = given.try_emplace(name, value);
    if (!fresh && place->second.source < value.source) place->second = value;
  }
}

GivenOptions parse_environment(const std::vector<OptionRow>& rows, const std::function<const char*(const char*)>& lookup) {
  GivenOptions given;
  for (const auto& row : rows) {
    if (row.positional) continue;
    const std::string name = environment_name(row.name);
    const char* value = lookup(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    Given& entry = given[row.name] = {{}, Source::environment, name + "="};
    if (!row.many) {
      entry.values = {value};
      continue;
    }
    std::string part;
    for (const char* c = value;; ++c) {
      if (*c != ',' && *c != '\0') {
        part += *c;
        continue;
      }
      entry.values.push_back(std::exchange(part, {}));
      if (*c == '\0') break;
    }
  }
  return given;
}

std::string environment_name(const std::string& option) {
  std::string name = "TESSERA_";
  for (const char c : option) name += c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

const OptionRow* find_row(const std::vector<OptionRow>& rows, const std::string& name) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const OptionRow& each) { return each.name == name; });
  return row == rows.end() ? nullptr : &*row;
}

std::string option_hint(const std::vector<OptionRow>& rows, const std::string& name, const std::string& command) {
  std::vector<std::string> names;
  for (const auto& row : rows) {
    names.push_back(row.name);
    if (row.kind == Kind::flag && name.starts_with("no-")) names.push_back("no-" + row.name);
  }
  const std::string near = nearest(name, names);
  return near.empty() ? fmt::format("tessera {}{}--help lists them", command, command.empty() ? "" : " ")
                      : fmt::format("did you mean --{}?", near);
}

}  // namespace tessera::run
