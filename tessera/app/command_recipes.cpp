// run, recipes ls|cat|cp|validate|schema: recipes as files.

#include "tessera/app/commands.h"
#include "tessera/app/program.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/run/installed.h"
#include "tessera/run/recipe.h"

namespace tessera::app {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct RecipeOptions {
  std::string recipe;
  fs::path copy;
  std::string command;
};
struct RecipeListOptions {};

fs::path recipes_folder() { return run::source_folder() / "recipes"; }

// Names of the shipped recipes, without ".toml", relative to recipes/.
std::vector<std::string> shipped_recipes() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(recipes_folder(), error))
    if (entry.path().extension() == ".toml") names.push_back(fs::relative(entry.path(), recipes_folder()).replace_extension("").string());
  std::sort(names.begin(), names.end());
  return names;
}

// A file, or a shipped recipe's name.
fs::path find_recipe(const std::string& given) {
  std::error_code error;
  if (fs::is_regular_file(given, error)) return given;
  const auto names = shipped_recipes();
  if (std::find(names.begin(), names.end(), given) != names.end()) return recipes_folder() / (given + ".toml");
  const std::string near = run::nearest(given, names);
  throw InputError("RECIPE {}: no such file or shipped recipe; {}", tessera::quoted(given),
                   near.empty() ? "tessera recipes ls lists them" : "did you mean " + near + "?");
}

const NamedCommand& command_of(const std::vector<NamedCommand>& commands, const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& each : commands) {
    if (each.name == name) return each;
    names.push_back(each.name);
  }
  const std::string near = run::nearest(name, names);
  throw InputError("{}unknown command {}; {}", where, tessera::quoted(name),
                   near.empty() ? "tessera --help lists them" : "did you mean " + near + "?");
}

void list_recipes(const RecipeListOptions&, run::Context& context) {
  Json all = Json::array();
  for (const auto& name : shipped_recipes()) {
    const run::Recipe recipe = run::read_recipe(recipes_folder() / (name + ".toml"));
    context.line("{:<32}{}", name, recipe.command);
    all.push_back({{"name", name}, {"command", recipe.command}, {"path", (recipes_folder() / (name + ".toml")).string()}});
  }
  if (all.empty()) context.note("no recipes in {}", recipes_folder().string());
  context.result(all);
}

void show_recipe(const RecipeOptions& options, run::Context& context) {
  const std::string text = read_file(find_recipe(options.recipe), uint64_t{16} << 20);
  context.write(text);
  context.result({{"name", options.recipe}, {"text", text}});
}

void copy_recipe(const RecipeOptions& options, run::Context& context) {
  const fs::path from = find_recipe(options.recipe);
  write_file(options.copy, read_file(from, uint64_t{16} << 20));
  context.line("{} -> {}; edit it, then: tessera run {}", from.string(), options.copy.string(), options.copy.string());
  context.result({{"from", from.string()}, {"to", options.copy.string()}});
}

// Everything that can be known without opening inputs: keys, types, values of the options that read no file.
void validate_recipe(const RecipeOptions& options, run::Context& context) {
  const run::Recipe recipe = run::read_recipe(find_recipe(options.recipe));
  if (recipe.command.empty())
    throw InputError("{}: it names no command; add a line such as command = \"shortgpt prune\"", tessera::quoted(recipe.source));
  const auto commands = all_commands();
  const std::string where = fmt::format("{}:{}:{}: ", recipe.source, recipe.command_line, recipe.command_column);
  const NamedCommand& named = command_of(commands, recipe.command, where);
  const auto rows = run::with_program_options(named.command.spec().rows);
  const auto given = run::recipe_options(recipe, rows, named.name);
  named.command.prepare(given);
  context.line("{}: a good recipe for {}, {} settings", recipe.source, recipe.command, given.size());
  context.result({{"recipe", recipe.source}, {"command", recipe.command}, {"settings", given.size()}});
}

void print_schema(const RecipeOptions& options, run::Context& context) {
  Json document;
  const auto commands = all_commands();
  const auto schema_of = [](const NamedCommand& each) {
    return run::recipe_schema(each.name, each.command.help, run::with_program_options(each.command.spec().rows));
  };
  if (!options.command.empty()) {
    document = schema_of(command_of(commands, options.command, "VERB "));
  } else {
    document = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "A recipe of Tessera"}};
    for (const auto& each : commands) {
      Json schema = schema_of(each);
      schema.erase("$schema");
      document["oneOf"].push_back(std::move(schema));
    }
  }
  context.write(document.dump(2) + "\n");
  context.result(document);
}

void run_recipe(const RecipeOptions&, run::Context&) { throw std::logic_error("run is unfolded before commands are looked up"); }

run::OptionTable<RecipeListOptions> ls_options() {
  return run::OptionTable<RecipeListOptions>()
      .example("tessera recipes ls", "the recipes that come with the program")
      .example("tessera recipes ls --json", "the same for a script")
      .example("tessera recipes ls --out recipes.txt", "keep a copy");
}
run::OptionTable<RecipeOptions> cat_options() {
  return run::OptionTable<RecipeOptions>()
      .text("RECIPE", &RecipeOptions::recipe, "a recipe file, or the name of a shipped one")
      .group(run::Group::input)
      .example("tessera recipes cat shortgpt/prune", "print a shipped recipe")
      .example("tessera recipes cat runs/20261124-shortgpt/recipe.toml", "print the settings of a past run")
      .example("tessera recipes cat shortgpt/prune --json", "the same inside a JSON document");
}
run::OptionTable<RecipeOptions> cp_options() {
  return run::OptionTable<RecipeOptions>()
      .text("RECIPE", &RecipeOptions::recipe, "a recipe file, or the name of a shipped one")
      .group(run::Group::input)
      .output("TO", &RecipeOptions::copy, "the copy; must not exist")
      .example("tessera recipes cp shortgpt/prune mine.toml", "start from a shipped recipe")
      .example("tessera recipes cp shortgpt/prune mine.toml --force", "overwrite an earlier copy")
      .example("tessera run mine.toml", "then run it");
}
run::OptionTable<RecipeOptions> validate_options() {
  return run::OptionTable<RecipeOptions>()
      .text("RECIPE", &RecipeOptions::recipe, "a recipe file, or the name of a shipped one")
      .group(run::Group::input)
      .example("tessera recipes validate mine.toml", "check keys, types, values and inputs; run nothing")
      .example("tessera recipes validate mine.toml --json", "the same for a script")
      .example("tessera recipes validate shortgpt/prune", "check a shipped recipe on this machine");
}
run::OptionTable<RecipeOptions> schema_options() {
  return run::OptionTable<RecipeOptions>()
      .text("VERB", &RecipeOptions::command, "one command, in quotes when it has two words; left out: all")
      .optional()
      .group(run::Group::input)
      .example("tessera recipes schema > tessera.schema.json", "a JSON Schema for an editor")
      .example("tessera recipes schema generate", "of one command")
      .example("tessera recipes schema \"eval perplexity\"", "of a command of two words");
}
run::OptionTable<RecipeOptions> run_options() {
  return run::OptionTable<RecipeOptions>()
      .input("RECIPE", &RecipeOptions::recipe, "TOML file with `command` and its settings; paths in it start at the current folder")
      .example("tessera run runs/20261124-shortgpt/recipe.toml", "repeat a run exactly")
      .example("tessera run mine.toml --threads 1", "with one setting changed: options win over the recipe")
      .example("tessera run mine.toml --set layers=4", "the same in recipe keys");
}

}  // namespace

run::Command run_recipe_command() {
  return run::command("run", "run a recipe: one file with a command and all its settings", run_options, run_recipe);
}

std::vector<run::Command> recipe_commands() {
  return {run::command("recipes ls", "list the recipes that come with the program", ls_options, list_recipes),
          run::command("recipes cat", "print a recipe", cat_options, show_recipe),
          run::command("recipes cp", "copy a recipe to edit it", cp_options, copy_recipe),
          run::command("recipes validate", "check a recipe without running it", validate_options, validate_recipe),
          run::command("recipes schema", "print a JSON Schema of recipes for editors", schema_options, print_schema)};
}

}  // namespace tessera::app
