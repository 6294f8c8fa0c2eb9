#pragma once
// A method's card: what tessera/methods/<slug>/method.cpp returns from `Method card()`, and all the program knows of a method.

#include <functional>
#include <string>
#include <vector>

#include "tessera/run/command.h"

namespace tessera::run {

class Report;

enum class Mode { quick, standard, full };  // under 20 s and no judgement; under 10 minutes on 2 cores; up to an hour
const char* name_of(Mode mode);             // "quick", "default", "full"

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
  // The embedded experiment: measures, judges every claim and draws into `report`; the program writes the report and the exit code.
  std::function<void(Report& report, Context& context, Mode mode)> reproduce;
  // packages.toml of its folder, read at build time or empty: what ./run installs before the method first runs.
  std::string packages;
  Columns columns;
};

}  // namespace tessera::run
