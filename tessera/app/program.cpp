#include "tessera/app/program.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <thread>

#include "tessera/app/failure.h"
#include "tessera/app/machine.h"
#include "tessera/app/train_options.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/methods/methods.h"
#include "tessera/run/options_help.h"
#include "tessera/run/recipe.h"
#include "tessera/train/parallel/collective.h"

namespace tessera::app {

namespace {

using Words = std::vector<std::string>;

// What a model or a file says may hold escape sequences: a terminal gets none of them, a file or a pipe every byte.
void write_out(std::string_view text) {
  static const bool terminal = isatty(STDOUT_FILENO) == 1;
  const auto control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f; };
  if (!terminal || std::none_of(text.begin(), text.end(), control)) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    for (const char c : text)
      if (!control(c)) std::fputc(c, stdout);
  }
  if (terminal) std::fflush(stdout);  // an answer is seen as it is written
}
void write_err(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

// Options that stand before the command move behind it: `tessera --json list`.
void move_command_first(Words& words) {
  const auto rows = run::program_options().rows();
  size_t at = 0;
  while (at < words.size() && words[at].size() > 1 && words[at][0] == '-') {
    const std::string name = words[at].starts_with("--") ? words[at].substr(2) : "";
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const run::OptionRow& each) {
      return name.empty() ? each.short_name == words[at][1] : each.name == name.substr(0, name.find('='));
    });
    const bool takes_next = row != rows.end() && row->kind != run::Kind::flag && name.find('=') == std::string::npos;
    at += takes_next ? 2 : 1;
  }
  std::rotate(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(std::min(at, words.size())), words.end());
}

bool has_word(const Words& words, std::initializer_list<const char*> wanted) {
  const auto end = std::find(words.begin(), words.end(), "--");
  return std::any_of(words.begin(), end, [&](const std::string& word) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const char* each) { return word == each; });
  });
}

bool wants_json(const Words& words) {
  const char* variable = std::getenv("TESSERA_JSON");
  return has_word(words, {"--json", "--json=true"}) || (variable != nullptr && std::string_view(variable) == "true");
}

// The words that follow a first word: "perplexity", "choices" for "eval".
Words verbs_of(const std::vector<NamedCommand>& commands, const std::string& family) {
  Words verbs;
  for (const auto& each : commands)
    if (each.name.starts_with(family + " ")) verbs.push_back(each.name.substr(family.size() + 1));
  return verbs;
}

[[noreturn]] void refuse_command(const std::vector<NamedCommand>& commands, const Words& words) {
  const Words verbs = verbs_of(commands, words[0]);
  if (!verbs.empty()) {
    const std::string list = fmt::format("{}", fmt::join(verbs, ", "));
    if (words.size() < 2 || words[1].starts_with("-")) throw InputError("{} needs a command; give one of {}", words[0], list);
    const std::string near = run::nearest(words[1], verbs);
    throw InputError("unknown command {} {}; {}", words[0], tessera::quoted(words[1]),
                     near.empty() ? "give one of " + list : fmt::format("did you mean {} {}?", words[0], near));
  }
  Words names;
  for (const auto& each : commands) names.push_back(each.name.substr(0, each.name.find(' ')));
  const std::string near = run::nearest(words[0], names);
  throw InputError("unknown command {}; {}", tessera::quoted(words[0]),
                   near.empty() ? "tessera --help lists the commands" : fmt::format("did you mean {}?", near));
}

const NamedCommand& find_command(const std::vector<NamedCommand>& commands, Words& words) {
  const std::string two = words.size() > 1 ? words[0] + " " + words[1] : "";
  for (const auto& each : commands)
    if (each.name == words[0] || each.name == two) {
      words.erase(words.begin(), words.begin() + (each.name == two ? 2 : 1));
      return each;
    }
  refuse_command(commands, words);
}

// `run RECIPE ...` becomes the recipe's command with --recipe RECIPE.
Words unfold_recipe(const std::vector<NamedCommand>& commands, const Words& words) {
  if (words.size() < 2 || words[1].starts_with("-")) throw InputError("RECIPE is missing; give it: tessera run RECIPE");
  const run::Recipe recipe = run::read_recipe(words[1]);
  if (recipe.command.empty())
    throw InputError("{}: it names no command; add a line such as command = \"shortgpt prune\"", tessera::quoted(words[1]));
  Words names;
  for (const auto& each : commands) names.push_back(each.name);
  if (std::find(names.begin(), names.end(), recipe.command) == names.end()) {
    const std::string near = run::nearest(recipe.command, names);
    throw InputError("{}:{}:{}: unknown command {}; {}", recipe.source, recipe.command_line, recipe.command_column,
                     tessera::quoted(recipe.command), near.empty() ? "tessera --help lists the commands" : "did you mean " + near + "?");
  }
  Words unfolded;
  const auto blank = recipe.command.find(' ');
  unfolded.push_back(recipe.command.substr(0, blank));
  if (blank != std::string::npos) unfolded.push_back(recipe.command.substr(blank + 1));
  unfolded.insert(unfolded.end(), {"--recipe", words[1]});
  unfolded.insert(unfolded.end(), words.begin() + 2, words.end());
  return unfolded;
}

// Default < recipe < environment < option.
// A command whose own rows hold "recipe" or "set" keeps them for itself.
run::GivenOptions gather(const std::string& name, const std::vector<run::OptionRow>& own_rows, const std::vector<run::OptionRow>& rows,
                         const Words& words) {
  run::GivenOptions given = run::parse_words(rows, words, name);
  if (const auto set = given.find("set"); set != given.end() && run::find_row(own_rows, "set") == nullptr)
    run::merge(given, run::parse_assignments(rows, set->second.values, name));
  run::merge(given, run::parse_environment(rows, [](const char* variable) -> const char* { return std::getenv(variable); }));
  if (const auto file = given.find("recipe"); file != given.end() && run::find_row(own_rows, "recipe") == nullptr) {
    const run::Recipe recipe = run::read_recipe(file->second.values.front());
    if (!recipe.command.empty() && recipe.command != name)
      throw InputError("{}:{}:{}: this recipe is for {}, not for {}; run it with tessera run {}", recipe.source, recipe.command_line,
                       recipe.command_column, tessera::quoted(recipe.command), name, recipe.source);
    run::merge(given, run::recipe_options(recipe, rows, name));
  }
  return given;
}

int run_command(const NamedCommand& named, const Words& words) {
  run::CommandSpec spec = named.command.spec();
  const auto own_rows = spec.rows;
  spec.rows = run::with_program_options(own_rows);
  if (has_word(words, {"--help", "-h"})) {
    write_out(run::help_text(named.name, named.command.help, spec));
    return kDone;
  }
  const run::GivenOptions given = gather(named.name, own_rows, spec.rows, words);
  std::vector<run::OptionRow> program_rows = run::program_options().rows();
  std::erase_if(program_rows, [&](const run::OptionRow& row) { return run::find_row(own_rows, row.name) != nullptr; });
  run::Settings settings;
  run::fill_rows(program_rows, given, &settings);
  // A command that can resume looks at its folder itself: what it goes on with is there already.
  run::check_outputs(spec.rows, given, settings.force || run::find_row(own_rows, "resume") != nullptr);
  const auto work = named.command.prepare(given);
  apply_settings(settings);

  std::string printed;  // for --out of a command without a run folder
  const auto print = [&](std::string_view text) {
    write_out(text);
    if (!settings.out.empty()) printed += text;
  };
  run::Context::Sinks sinks{print, write_err, settings.quiet ? ProgressOutput{} : progress_on(stderr)};
  run::Context context(settings, std::move(sinks), named.name, run::write_recipe(named.name, spec.rows, given));
  work(context);
  if (settings.json && !context.document().is_null())
    print(context.document().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  const bool folder = context.has_folder() || std::filesystem::is_directory(settings.out);  // another rank's, for one
  if (!settings.out.empty() && !folder) write_file(settings.out, printed);
  return context.held() ? kDone : kNotHeld;
}

int dispatch(Words words) {
  move_command_first(words);
  if (!words.empty() && words[0] == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  if (words.empty() || words[0] == "--help" || words[0] == "-h") return write_out(program_help()), kDone;
  if (words[0] == "--version") words[0] = "version";
  if (words[0].starts_with("-")) throw InputError("{} without a command; tessera --help lists the commands", tessera::quoted(words[0]));
  const auto commands = all_commands();
  const bool help = has_word(words, {"--help", "-h"});
  if (words[0] == "run" && !help) words = unfold_recipe(commands, words);
  if (words[0] == "train" && !help) unfold_train(words);
  if (help && (words.size() == 1 || words[1].starts_with("-")) && !verbs_of(commands, words[0]).empty())
    return write_out(family_help(words[0])), kDone;
  const NamedCommand& command = find_command(commands, words);
  return run_command(command, words);
}

// What fails on one rank of a job often fails on all. The first one has the word at once; the others wait three seconds, in which its end
// has them told to stop, and then say nothing. Returns what stands before the line; nothing when it is not to be said.
std::optional<std::string> rank_prefix() {
  int64_t rank = 0;
  try {
    rank = train::started_as().rank;
  } catch (const InputError&) {  // tasks that cannot find each other
  }
  if (rank == 0) return "";
  for (int i = 0; i < 150 && !interrupted(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (interrupted()) return std::nullopt;
  return fmt::format("rank {}: ", rank);
}

}  // namespace

std::vector<NamedCommand> all_commands() {
  std::vector<NamedCommand> all;
  for (auto& command : program_commands()) all.push_back({command.name, std::move(command)});
  for (const auto& method : methods())
    for (const auto& command : method.commands) all.push_back({method.slug + " " + command.name, command});
  return all;
}

int run_program(const Words& words) {
  int exit_code = kDone;
  try {
    exit_code = dispatch(words);
  } catch (...) {
    const Failure failure = current_failure();
    exit_code = failure.exit_code;
    std::fflush(stdout);
    if (const auto prefix = rank_prefix()) write_err("tessera: " + *prefix + failure.line + "\n");
    if (wants_json(words)) write_out(document_of(failure).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    write_err("tessera: stdout could not be written; check the disk or the program that reads it\n");
    if (exit_code == kDone) exit_code = kFailed;
  }
  if (exit_code != kDone) train::end_ranks(exit_code);
  return exit_code;
}

}  // namespace tessera::app
