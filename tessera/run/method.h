#pragma once
// A method's card: what tessera/methods/<slug>/method.cpp returns from `Method card()`, and all the program knows of a method.

#include <functional>
#include <string>
#include <vector>

#include "tessera/run/command.h"
#include "tessera/run/report.h"

namespace tessera::run {

// What shows that a column of docs/done.md holds, in a few words ("tests/cli/shortgpt.cpp"); empty: not shown yet.
struct Columns {
  std::string useful, faithful, proven, fast;
};

struct Method {
  std::string slug;   // folder and command: "shortgpt"
  std::string title;  // the paper's
  std::string paper;  // "arXiv:2403.03853v3"
  std::string use;    // one sentence for a person with a model and a problem
  std::vector<Command> commands;
  // The embedded experiment: declares and judges its claims and draws into `report`, which the program made in context.folder() and writes
  // afterwards; it also sets the exit code.
  std::function<void(Report& report, Context& context, Mode mode)> reproduce;
  Columns columns;
};

}  // namespace tessera::run
