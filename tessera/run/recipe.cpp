#include "tessera/run/recipe.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/base/files.h"

namespace tessera::run {

namespace {

using EntryType = RecipeEntry::Type;

// One scalar as a person would write it on the command line; empty with EntryType::other for what no option takes.
EntryType scalar_text(const toml::node& node, std::string& text) {
  if (const auto* value = node.as_string()) return text = value->get(), EntryType::text;
  if (const auto* value = node.as_integer()) return text = fmt::format("{}", value->get()), EntryType::integer;
  if (const auto* value = node.as_floating_point()) return text = fmt::format("{}", value->get()), EntryType::number;
  if (const auto* value = node.as_boolean()) return text = value->get() ? "true" : "false", EntryType::flag;
  return EntryType::other;
}

RecipeEntry read_entry(const std::string& key, const toml::node& node, const std::string& source) {
  RecipeEntry entry;
  entry.key = key;
  entry.line = node.source().begin.line;
  entry.column = node.source().begin.column;
  const auto refuse = [&](const toml::node& part) {
    throw InputError("{}:{}:{}: {} holds what no option takes; give a text, a number, true or false, or a list of these", source,
                     part.source().begin.line, part.source().begin.column, tessera::quoted(key));
  };
  if (const auto* items = node.as_array()) {
    entry.type = EntryType::list;
    for (const auto& item : *items) {
      std::string text;
      if (scalar_text(item, text) == EntryType::other) refuse(item);
      entry.values.push_back(std::move(text));
    }
    return entry;
  }
  std::string text;
  entry.type = scalar_text(node, text);
  if (entry.type == EntryType::other) refuse(node);
  entry.values = {std::move(text)};
  return entry;
}

void flatten_recipe(const toml::table& table, const std::string& prefix, Recipe& recipe) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      flatten_recipe(*inner, name + ".", recipe);
      continue;
    }
    recipe.entries.push_back(read_entry(name, node, recipe.source));
    recipe.entries.back().key_line = key.source().begin.line;
    recipe.entries.back().key_column = key.source().begin.column;
  }
}

void take_head(Recipe& recipe) {
  for (const auto& entry : recipe.entries) {
    const auto refuse = [&](const std::string& problem, const std::string& mend) {
      throw InputError("{}:{}:{}: {} = {}: {}; {}", recipe.source, entry.line, entry.column, entry.key,
                       tessera::quoted(entry.values.empty() ? "" : entry.values.front()), problem, mend);
    };
    if (entry.key == "version" && (entry.type != EntryType::integer || entry.values.front() != fmt::format("{}", kRecipeVersion)))
      refuse("not a version this program reads", fmt::format("give {}, or take a newer Tessera", kRecipeVersion));
    if (entry.key != "command") continue;
    if (entry.type != EntryType::text) refuse("not a text", "give a command such as \"shortgpt prune\"");
    recipe.command = entry.values.front();
    recipe.command_line = entry.line;
    recipe.command_column = entry.column;
  }
  std::erase_if(recipe.entries, [](const RecipeEntry& entry) { return entry.key == "version" || entry.key == "command"; });
  std::stable_sort(recipe.entries.begin(), recipe.entries.end(), [](const RecipeEntry& a, const RecipeEntry& b) {
    return std::pair(a.key_line, a.key_column) < std::pair(b.key_line, b.key_column);
  });
}

const char* describe_type(EntryType type) {
  switch (type) {
    case EntryType::text:
      return "a text";
    case EntryType::integer:
      return "a whole number";
    case EntryType::number:
      return "a number";
    case EntryType::flag:
      return "true or false";
    case EntryType::list:
      return "a list";
    case EntryType::other:
      break;
  }
  return "something else";
}

bool type_fits_row(EntryType type, const OptionRow& row) {
  switch (row.kind) {
    case Kind::integer:
      return type == EntryType::integer;
    case Kind::number:
      return type == EntryType::integer || type == EntryType::number;
    case Kind::flag:
      return type == EntryType::flag;
    default:
      break;
  }
  if (row.many) return type == EntryType::list || type == EntryType::text;
  return type == EntryType::text;
}

const char* wanted_type(const OptionRow& row) {
  switch (row.kind) {
    case Kind::integer:
      return "a whole number";
    case Kind::number:
      return "a number";
    case Kind::flag:
      return "true or false";
    default:
      return row.many ? "a list" : "a text";
  }
}

std::string toml_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_value(const OptionRow& row, std::vector<std::string> values) {
  if (row.kind == Kind::input || row.kind == Kind::model) {
    std::error_code error;
    for (auto& value : values)
      if (std::filesystem::exists(value, error)) value = std::filesystem::absolute(value, error).lexically_normal().string();
  }
  if (row.kind == Kind::integer || row.kind == Kind::number) {
    std::string number = values.front();
    if (number.starts_with('.')) number = "0" + number;
    return number.ends_with('.') ? number + "0" : number;
  }
  if (row.kind == Kind::flag)
    return values.front() == "true" || values.front() == "1" || values.front() == "yes" || values.front() == "on" ? "true" : "false";
  if (!row.many) return toml_text(values.front());
  std::string out = "[";
  for (const auto& value : values) out += (out.size() > 1 ? ", " : "") + toml_text(value);
  return out + "]";
}

bool belongs_in_recipe(const OptionRow& row) {
  static const std::vector<std::string> shown = {"json", "quiet", "verbose", "force", "recipe", "set", "help"};
  return std::find(shown.begin(), shown.end(), row.name) == shown.end();
}

nlohmann::ordered_json row_schema(const OptionRow& row) {
  nlohmann::ordered_json schema;
  switch (row.kind) {
    case Kind::integer:
      schema["type"] = "integer";
      break;
    case Kind::number:
      schema["type"] = "number";
      break;
    case Kind::flag:
      schema["type"] = "boolean";
      break;
    default:
      schema["type"] = "string";
      break;
  }
  if (row.many) schema = {{"type", {"array", "string"}}, {"items", {{"type", {"string", "number"}}}}};
  schema["description"] = row.help + (row.unit.empty() ? "" : ", " + row.unit);
  if (row.range && row.range->lowest > -std::numeric_limits<double>::infinity()) schema["minimum"] = row.range->lowest;
  if (row.range && row.range->highest < std::numeric_limits<double>::infinity()) schema["maximum"] = row.range->highest;
  for (const auto& choice : row.choices) schema["enum"].push_back(choice.name);
  if (!row.defaults.empty()) {
    const std::string& text = row.defaults.front();
    if (row.many) {
      schema["default"] = row.defaults;
    } else if (row.kind == Kind::integer || row.kind == Kind::number || row.kind == Kind::flag) {
      schema["default"] = nlohmann::ordered_json::parse(text, nullptr, false);
    } else {
      schema["default"] = text;
    }
  }
  return schema;
}

}  // namespace

Recipe parse_recipe(std::string_view toml, const std::string& source) {
  Recipe recipe;
  recipe.source = source;
  try {
    flatten_recipe(toml::parse(toml, source), "", recipe);
  } catch (const toml::parse_error& error) {
    throw InputError("{}:{}:{}: {}; mend this line of the recipe", source, error.source().begin.line, error.source().begin.column,
                     tessera::quoted(error.description(), 200));
  }
  take_head(recipe);
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& path) { return parse_recipe(read_file(path, uint64_t{16} << 20), path.string()); }

GivenOptions recipe_options(const Recipe& recipe, const std::vector<OptionRow>& rows, const std::string& command) {
  GivenOptions given;
  for (const auto& entry : recipe.entries) {
    const OptionRow* row = find_row(rows, entry.key);
    if (row == nullptr || !belongs_in_recipe(*row)) {
      std::vector<std::string> names = {"command", "version"};
      for (const auto& each : rows)
        if (belongs_in_recipe(each)) names.push_back(each.name);
      const std::string near = nearest(entry.key, names);
      throw InputError("{}:{}:{}: unknown key {}; {}", recipe.source, entry.key_line, entry.key_column, tessera::quoted(entry.key),
                       near.empty() ? fmt::format("tessera {} --help lists the options, which are the keys", command)
                                    : fmt::format("did you mean {}?", near));
    }
    Given value{entry.values, Source::recipe, fmt::format("{}:{}:{}: {} = ", recipe.source, entry.line, entry.column, entry.key)};
    if (!type_fits_row(entry.type, *row))
      refuse_value(value, fmt::format("{}", fmt::join(entry.values, ", ")),
                   fmt::format("{} where {} belongs", describe_type(entry.type), wanted_type(*row)),
                   row->range ? fmt::format("give {}", describe(*row->range)) : fmt::format("give {}", wanted_type(*row)));
    if (!value.values.empty()) given.emplace(entry.key, std::move(value));
  }
  return given;
}

GivenOptions parse_assignments(const std::vector<OptionRow>& rows, const std::vector<std::string>& words, const std::string& command) {
  std::vector<std::string> options;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) throw InputError("--set {}: no \"=\"; give key=value", tessera::quoted(word));
    const std::string key = word.substr(0, equals);
    const OptionRow* row = find_row(rows, key);
    if (row == nullptr || !belongs_in_recipe(*row)) {
      const std::string hint = option_hint(rows, key, command);
      throw InputError("--set {}: unknown key {}; {}", tessera::quoted(word), tessera::quoted(key), hint);
    }
    options.push_back("--" + word);
  }
  return parse_words(rows, options, command);
}

std::string write_recipe(const std::string& command, const std::vector<OptionRow>& rows, const GivenOptions& given) {
  std::string out =
      fmt::format("# tessera run THIS_FILE repeats this run.\nversion = {}\ncommand = {}\n", kRecipeVersion, toml_text(command));
  for (const auto& row : rows) {
    if (!belongs_in_recipe(row)) continue;
    const auto found = given.find(row.name);
    const auto& values = found != given.end() ? found->second.values : row.defaults;
    out +=
        fmt::format("\n# {}{}{}\n", row.help, row.unit.empty() ? "" : ", " + row.unit, row.range ? " (" + describe(*row.range) + ")" : "");
    out += values.empty() ? fmt::format("# {} =\n", row.name) : fmt::format("{} = {}\n", row.name, toml_value(row, values));
  }
  return out;
}

nlohmann::ordered_json recipe_schema(const std::string& command, const std::string& help, const std::vector<OptionRow>& rows) {
  nlohmann::ordered_json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                                   {"title", "tessera " + command},
                                   {"description", help},
                                   {"type", "object"},
                                   {"additionalProperties", false},
                                   {"required", {"command"}}};
  auto& properties = schema["properties"];
  properties["version"] = {{"const", kRecipeVersion}};
  properties["command"] = {{"const", command}};
  for (const auto& row : rows) {
    if (!belongs_in_recipe(row)) continue;
    const auto dot = row.name.find('.');
    if (dot == std::string::npos) {
      properties[row.name] = row_schema(row);
      continue;
    }
    auto& table = properties[row.name.substr(0, dot)];
    table["type"] = "object";
    table["additionalProperties"] = false;
    table["properties"][row.name.substr(dot + 1)] = row_schema(row);
  }
  return schema;
}

}  // namespace tessera::run
