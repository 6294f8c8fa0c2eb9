#pragma once
// What went wrong, as the program says it: one line on stderr, {error: {message, hint, kind}} on stdout with --json, an exit code.

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tessera::app {

struct Failure {
  int exit_code = 1;
  std::string line;  // without the leading "tessera: "
  std::string message, hint;
  std::string kind;  // "input", "work", "interrupted", "internal"
};

// The exception being handled. LibTorch's errors lose their backtrace; running out of memory is told from other failures.
Failure current_failure();
nlohmann::ordered_json document_of(const Failure& failure);

}  // namespace tessera::app
