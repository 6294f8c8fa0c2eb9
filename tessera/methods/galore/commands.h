#pragma once
// GaLore on the command line; training itself is `tessera train --optim galore-adamw`.

#include "tessera/run/command.h"

namespace tessera::galore {

run::Command plan_command();      // what training takes, before it takes it
run::Command measure_command();   // and what it took, at the peak of some steps
run::Command spectrum_command();  // is the gradient of this model low-rank?
run::Command tune_command();      // the experiment's learning rates

}  // namespace tessera::galore
