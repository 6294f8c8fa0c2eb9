#pragma once
// Completion scripts and the manual page, made from the same tables as parsing and --help.

#include <string>
#include <vector>

#include "tessera/app/program.h"

namespace tessera::app {

std::string bash_completion(const std::vector<NamedCommand>& commands);
std::string zsh_completion(const std::vector<NamedCommand>& commands);
std::string fish_completion(const std::vector<NamedCommand>& commands);

// tessera(1) in roff, man(7) macros.
std::string manual_page(const std::vector<NamedCommand>& commands);

}  // namespace tessera::app
