// Danube's card: its commands and its experiment.

#include "tessera/run/method.h"

#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/reproduce.h"

namespace tessera::danube {

run::Method card();

run::Method card() {
  return {.slug = "danube",
          .title = "H2O-Danube-1.8B Technical Report",
          .paper = "arXiv:2401.16818v2",
          .use = "Pre-train a small language model in stages of context length and data mix, and make a chat model of it.",
          .commands = {train_command(), sft_command(), dpo_command(), generate_command(), chat_command(), eval_command(),
                       retokenize_command(), quality_command(), fp8_command(), convert_command(), info_command()},
          .reproduce = reproduce,
          .columns = {.useful = "tests/methods/danube_commands.cpp",
                      .faithful = "tests/parity/lm.py",
                      .proven = "tessera reproduce danube",
                      .fast = "bench/danube.py"}};
}

}  // namespace tessera::danube
