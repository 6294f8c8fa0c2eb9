// bench NAME: a committed benchmark, side by side with its rivals, run by the Python of the environment that holds them.

#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tessera/app/commands.h"
#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"
#include "tessera/run/installed.h"

namespace tessera::app {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct BenchOptions {
  std::string name;
};

// Every benchmark's script by its name: NAME.py, or NAME_.py where NAME.py would hide a module of Python's own from its neighbours.
std::map<std::string, fs::path> bench_scripts() {
  std::map<std::string, fs::path> scripts;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run::source_folder() / "bench", error)) {
    auto name = entry.path().stem().string();
    if (entry.path().extension() != ".py" || name == "measure") continue;
    if (name.ends_with('_')) name.pop_back();
    scripts.emplace(std::move(name), entry.path());
  }
  return scripts;
}

fs::path bench_script(const std::string& name) {
  const auto scripts = bench_scripts();
  if (scripts.empty())
    throw InputError("bench needs the source tree, and there is none at {}; set TESSERA_HOME to it",
                     tessera::quoted(run::source_folder().string()));
  if (const auto found = scripts.find(name); found != scripts.end()) return found->second;
  std::vector<std::string> names;
  names.reserve(scripts.size());
  for (const auto& [known, script] : scripts) names.push_back(known);
  const std::string near = run::nearest(name, names);
  throw InputError("NAME {}: no such benchmark; {}", tessera::quoted(name),
                   near.empty() ? fmt::format("give one of {}", fmt::join(names, ", ")) : "did you mean " + near + "?");
}

[[noreturn]] void become(const fs::path& python, const fs::path& script, const run::Settings& settings, int out) {
  dup2(out, STDOUT_FILENO);
  close(out);
  std::error_code error;
  const std::string program = fs::read_symlink("/proc/self/exe", error).string();
  setenv("TESSERA_HOME", run::source_folder().c_str(), 1);
  if (!program.empty()) setenv("TESSERA_PROGRAM", program.c_str(), 1);
  if (settings.threads > 0) setenv("TESSERA_THREADS", std::to_string(settings.threads).c_str(), 1);
  setenv("PYTHONUNBUFFERED", "1", 1);
  if (settings.json) {
    execl(python.c_str(), python.c_str(), script.c_str(), "--json", static_cast<char*>(nullptr));
  } else {
    execl(python.c_str(), python.c_str(), script.c_str(), static_cast<char*>(nullptr));
  }
  _exit(127);
}

// Runs the script; what it prints goes to `heard` as it comes. Returns its exit code.
int run_script(const fs::path& python, const fs::path& script, const run::Settings& settings,
               const std::function<void(std::string_view)>& heard) {
  int ends[2];
  if (pipe(ends) != 0) throw WorkError("no pipe to {}; too many open files?", script.string());
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) throw WorkError("{} could not be started; too little memory?", python.string());
  if (child == 0) {
    close(ends[0]);
    become(python, script, settings, ends[1]);
  }
  close(ends[1]);
  char block[4096];
  for (ssize_t got = 0; (got = read(ends[0], block, sizeof block)) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) heard({block, static_cast<size_t>(got)});
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void bench(const BenchOptions& options, run::Context& context) {
  const fs::path script = bench_script(options.name);
  const fs::path python = run::source_folder() / ".venv-parity" / "bin" / "python";
  std::error_code error;
  if (!fs::exists(python, error))
    throw InputError("bench needs the rivals' environment {}, which is not there; run ./run bench {}, which makes it",
                     tessera::quoted(python.parent_path().parent_path().string()), options.name);
  std::string printed;
  const int code = run_script(python, script, context.settings(), [&](std::string_view text) {
    printed += text;
    context.write(text);
  });
  if (interrupted()) throw Interrupted("interrupted; nothing is kept of an unfinished benchmark");
  if (code != 0) throw WorkError("bench {} failed with exit code {}; its message is above", options.name, code);
  if (!context.settings().json) return;
  Json document = Json::parse(printed, nullptr, false);
  if (document.is_discarded()) throw WorkError("bench {} printed no JSON document; see {}", options.name, script.string());
  context.result(std::move(document));
}

run::OptionTable<BenchOptions> bench_options() {
  return run::OptionTable<BenchOptions>()
      .text("NAME", &BenchOptions::name, "which benchmark: tokenize, perplexity, kernels ..., or a method")
      .group(run::Group::input)
      .example("./run bench perplexity", "make the rivals' environment when it is missing, then measure")
      .example("tessera bench startup --json", "medians, spread and ratio, for a script")
      .example("tessera bench train --threads 2", "with two threads on every side");
}

}  // namespace

run::Command bench_command() { return run::command("bench", "measure side by side with what people use instead", bench_options, bench); }

}  // namespace tessera::app
