// ShortGPT's card: its commands and its experiment.

#include "tessera/run/method.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tessera/methods/shortgpt/reproduce.h"

namespace tessera::shortgpt {

run::Method card();

run::Method card() {
  return {.slug = "shortgpt",
          .title = "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect",
          .paper = "arXiv:2403.03853v3",
          .use = "Remove the layers of a language model that change its hidden state least.",
          .commands = {score_command(), prune_command(), sweep_command(), generate_command(), heal_command()},
          .reproduce = reproduce,
          .columns = {.useful = "tests/methods/shortgpt_commands.cpp",
                      .faithful = "tests/parity/shortgpt.py",
                      .proven = "tessera reproduce shortgpt",
                      .fast = "bench/shortgpt.py"}};
}

}  // namespace tessera::shortgpt
