#pragma once
// Danube on the command line.

#include "tessera/run/command.h"

namespace tessera::danube {

run::Command train_command();       // staged pre-training
run::Command sft_command();         // on conversations, prompts masked
run::Command dpo_command();         // on preference pairs
run::Command generate_command();    // with the window of the model, another, or none
run::Command chat_command();        // in Danube's template
run::Command eval_command();        // perplexity, multiple choice
run::Command retokenize_command();  // another vocabulary
run::Command quality_command();     // train and apply the filter
run::Command fp8_command();         // what FP8 would lose, layer by layer
run::Command convert_command();     // GGUF and folders
run::Command info_command();        // parameters, cache, layout

}  // namespace tessera::danube
