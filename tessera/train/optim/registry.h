#pragma once
// Every optimizer by its name.

#include "tessera/train/optim/options.h"
#include "tessera/train/optimizer.h"

namespace tessera::train {

struct OptimName {
  std::string name, help;  // "adamw"; one line
};

// Every name that make_optimizer takes, in the order of --help.
std::vector<OptimName> optim_names();

// The name as optim_names() spells it ("galore_adamw" is "galore-adamw"). Throws InputError with the nearest name.
std::string optim_name(const std::string& given);

// Throws InputError for an unknown name, a value out of its range, and a field that the named rule has no use for. Cheap: for parse time.
void check_optim_options(const OptimOptions& options);

// Checks the options and makes the optimizer. Throws InputError as check_optim_options, and for a rule of matrices with no matrix.
std::unique_ptr<Optimizer> make_optimizer(const OptimOptions& options, std::vector<Parameter> parameters);

}  // namespace tessera::train
