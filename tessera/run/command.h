#pragma once
// A command of the program or of a method, and what it is handed: settings, sinks for results, its run folder. Commands return when done or
// throw (InputError: exit 2, WorkError: 1, Interrupted: 130); only the program prints or exits.

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/base/progress.h"
#include "tessera/run/options.h"
#include "tessera/run/options_parse.h"

namespace tessera::run {

class RunFolder;

enum class Device { cpu, cuda };
enum class Dtype { automatic, fp32, bf16 };  // automatic: bf16 where the device multiplies it faster; the run says which it took

// The options every command has, with one meaning everywhere.
struct Settings {
  Device device = Device::cpu;
  Dtype dtype = Dtype::automatic;
  int threads = 0;  // 0: the cores this process may use, its container's quota included
  uint64_t seed = 0;
  std::filesystem::path out;  // the run's folder (empty: runs/<time>-<command>); of a command that makes none, a copy of what it prints
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool force = false;  // overwrite what exists
  std::filesystem::path recipe;
  std::vector<std::string> set;  // key=value
  bool help = false;
};
OptionTable<Settings> program_options();

// The rows of a command with the program-wide ones after them, those it replaces left out.
std::vector<OptionRow> with_program_options(const std::vector<OptionRow>& rows);

const char* name_of(Device device);  // "cpu", "cuda"
const char* name_of(Dtype dtype);    // "auto", "fp32", "bf16"

class Context {
 public:
  // Where text goes. The program sets both; without them (in tests, in other programs) text is dropped and result() still kept.
  struct Sinks {
    std::function<void(std::string_view)> out, err;
    ProgressOutput progress;  // silent unless set
  };
  explicit Context(Settings settings = {}, Sinks sinks = {}, std::string command = {}, std::string recipe = {});
  // One part of a larger command (a method within reproduce --all): the same settings and sinks, a run folder and a result of its own.
  Context(const Context& whole, std::string command, std::filesystem::path out);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Settings& settings() const { return settings_; }
  const std::string& command() const { return command_; }  // "shortgpt prune"
  const std::string& recipe() const { return recipe_; }    // the resolved recipe, TOML: every option with its value

  // One line of the summary on stdout; nothing with --json or --quiet. It stands in the run's log.txt too, once there is a folder.
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    summary_line(fmt::format(format, std::forward<Args>(args)...));
  }
  // Text that is itself the result (what a model says, as it says it): stdout as it is; nothing with --json.
  void write(std::string_view text);
  // One line for people on stderr; nothing with --quiet. It stands in the run's log.txt too, once there is a folder.
  template <class... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    note_line(fmt::format(format, std::forward<Args>(args)...));
  }
  // For Progress bars: silent with --quiet.
  const ProgressOutput& progress() const { return sinks_.progress; }
  // The command's JSON document, printed as one line when --json is given. Once a command.
  void result(nlohmann::ordered_json document);
  // One document a line as the work goes (JSON lines); instead of result().
  void result_line(const nlohmann::ordered_json& document);
  // What result() was given; null before.
  const nlohmann::ordered_json& document() const;

  // The folder of this run, made with the resolved recipe in it when first asked for. Throws WorkError when it cannot be made.
  RunFolder& folder();
  // The same for a run that may continue an earlier one in --out: its files stay and grow.
  RunFolder& resumed_folder();
  bool has_folder() const { return folder_ != nullptr; }

  // A claim was not held, a bar was missed: the program exits 3 once the command has returned.
  void not_held() { held_ = false; }
  bool held() const { return held_; }

 private:
  void summary_line(const std::string& line);
  void note_line(const std::string& line);
  RunFolder& open_folder(bool resume);

  Settings settings_;
  Sinks sinks_;
  std::string command_, recipe_;
  std::unique_ptr<nlohmann::ordered_json> document_;
  std::unique_ptr<RunFolder> folder_;
  bool held_ = true;
};

// One command. `spec` builds its table only when asked, so a long list of commands costs nothing. `prepare` converts and checks all values,
// throws InputError on the first wrong one, and returns the work.
struct Command {
  std::string name;  // one word, or "perplexity" inside "eval"
  std::string help;  // one line: what it does
  std::function<CommandSpec()> spec;
  std::function<std::function<void(Context&)>(const GivenOptions& given)> prepare;
};

// The values of `given` in a T: defaults, then every row in its order; then the table's checks. Throws InputError, also for a missing row
// that is required.
void fill_rows(const std::vector<OptionRow>& rows, const GivenOptions& given, void* settings);
template <class T>
T fill(const OptionTable<T>& table, const GivenOptions& given) {
  T settings{};
  fill_rows(table.rows(), given, &settings);
  for (const auto& check : table.checks()) check(settings);
  return settings;
}

// Throws InputError when what an output row names is there already (an empty folder may be) and `force` is not given.
void check_outputs(const std::vector<OptionRow>& rows, const GivenOptions& given, bool force);

// A command from its table and its function: command("prune", "write a smaller model", prune_options, prune), where
// OptionTable<PruneOptions> prune_options(); void prune(const PruneOptions& options, Context& context);
template <class T>
Command command(std::string name, std::string help, OptionTable<T> (*options)(), void (*function)(const T&, Context&)) {
  return {std::move(name), std::move(help), [options] { return options().spec(); },
          [options, function](const GivenOptions& given) -> std::function<void(Context&)> {
            return [function, settings = fill(options(), given)](Context& context) { function(settings, context); };
          }};
}

}  // namespace tessera::run
