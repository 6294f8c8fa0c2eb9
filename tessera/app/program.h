#pragma once
// The program: words in, an exit code out. Only this room prints or exits.

#include <optional>
#include <string>
#include <vector>

#include "tessera/run/command.h"

namespace tessera::app {

// 0 done; 1 the work failed; 2 wrong usage or input; 3 a claim was not held or a bar was missed; 130 interrupted.
enum ExitCode { kDone = 0, kFailed = 1, kWrongInput = 2, kNotHeld = 3, kInterrupted = 130 };

// Runs one command line (without the program's own name).
int run_program(const std::vector<std::string>& words);

// A command with all its words: "eval perplexity", "shortgpt prune".
struct NamedCommand {
  std::string name;
  run::Command command;
};
// The program's own commands in the order of --help, then every method's.
std::vector<NamedCommand> all_commands();
std::vector<run::Command> program_commands();

// The page of `tessera --help`, and of `tessera METHOD --help`.
std::string program_help();
std::string family_help(const std::string& family);

}  // namespace tessera::app
