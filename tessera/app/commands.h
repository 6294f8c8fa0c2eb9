#pragma once
// The program's own commands, one function each; program_commands() in commands.cpp lists them in the order of --help.

#include <vector>

#include "tessera/run/command.h"

namespace tessera::app {

run::Command list_command();
run::Command doctor_command();
run::Command env_command();
run::Command version_command();
run::Command inspect_command();
run::Command tokenize_command();
run::Command generate_command();
run::Command chat_command();
run::Command eval_perplexity_command();
run::Command eval_choices_command();
run::Command convert_command();
run::Command merge_command();
run::Command train_command();
run::Command bench_command();
run::Command reproduce_command();
run::Command run_recipe_command();
std::vector<run::Command> recipe_commands();
run::Command completion_command();
run::Command man_command();

}  // namespace tessera::app
