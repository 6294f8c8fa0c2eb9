// completion, man: what a shell and man(1) read.

#include "tessera/app/commands.h"
#include "tessera/app/completion.h"

namespace tessera::app {

namespace {

enum class Shell { bash, zsh, fish };
struct CompletionOptions {
  Shell shell = Shell::bash;
};
struct ManualOptions {};

void print_completion(const CompletionOptions& options, run::Context& context) {
  const auto commands = all_commands();
  const std::string script = options.shell == Shell::bash  ? bash_completion(commands)
                             : options.shell == Shell::zsh ? zsh_completion(commands)
                                                           : fish_completion(commands);
  context.write(script);
  context.result({{"script", script}});
}

void print_manual(const ManualOptions&, run::Context& context) {
  const std::string page = manual_page(all_commands());
  context.write(page);
  context.result({{"page", page}});
}

run::OptionTable<CompletionOptions> completion_options() {
  return run::OptionTable<CompletionOptions>()
      .choice("SHELL", &CompletionOptions::shell,
              {{"bash", Shell::bash, "4.4 or newer"}, {"zsh", Shell::zsh, "5 or newer"}, {"fish", Shell::fish, "3 or newer"}},
              "the shell to write for")
      .group(run::Group::input)
      .example("source <(tessera completion bash)", "now, in this shell")
      .example("tessera completion zsh > ~/.zfunc/_tessera", "for zsh, with ~/.zfunc in $fpath")
      .example("tessera completion fish > ~/.config/fish/completions/tessera.fish", "for fish");
}
run::OptionTable<ManualOptions> manual_options() {
  return run::OptionTable<ManualOptions>()
      .example("tessera man | man -l -", "read the manual")
      .example("tessera man > /usr/local/share/man/man1/tessera.1", "install it")
      .example("tessera man | groff -man -Tpdf > tessera.pdf", "print it");
}

}  // namespace

run::Command completion_command() {
  return run::command("completion", "print a completion script for bash, zsh or fish", completion_options, print_completion);
}
run::Command man_command() { return run::command("man", "print the manual page", manual_options, print_manual); }

}  // namespace tessera::app
