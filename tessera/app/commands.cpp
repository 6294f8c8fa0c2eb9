#include "tessera/app/commands.h"

#include "tessera/app/program.h"

namespace tessera::app {

std::vector<run::Command> program_commands() {
  std::vector<run::Command> all = {list_command(),      doctor_command(),    inspect_command(),         tokenize_command(),
                                   generate_command(),  chat_command(),      eval_perplexity_command(), eval_choices_command(),
                                   train_command(),     convert_command(),   merge_command(),           bench_command(),
                                   reproduce_command(), run_recipe_command()};
  for (auto& command : recipe_commands()) all.push_back(std::move(command));
  for (auto& command : {completion_command(), man_command(), env_command(), version_command()}) all.push_back(command);
  return all;
}

}  // namespace tessera::app
