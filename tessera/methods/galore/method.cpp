// GaLore's card: its commands and its experiment. The optimizers themselves are in train/optim.

#include "tessera/run/method.h"

#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/reproduce.h"

namespace tessera::galore {

run::Method card();

run::Method card() {
  return {.slug = "galore",
          .title = "GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection",
          .paper = "arXiv:2403.03507v2",
          .use = "Train all weights of a language model with a fraction of Adam's memory.",
          .commands = {plan_command(), measure_command(), spectrum_command(), tune_command()},
          .reproduce = reproduce,
          .columns = {.useful = "tests/methods/galore_commands.cpp",
                      .faithful = "tests/parity/optim.py",
                      .proven = "tessera reproduce galore",
                      .fast = "bench/galore.py"}};
}

}  // namespace tessera::galore
