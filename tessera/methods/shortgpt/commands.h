#pragma once
// ShortGPT on the command line; each command is a file of its own.

#include "tessera/methods/shortgpt/score.h"
#include "tessera/run/command.h"
#include "tessera/run/options.h"

namespace tessera::shortgpt {

run::Command score_command();     // rank every layer on your own text
run::Command prune_command();     // write a smaller model
run::Command sweep_command();     // perplexity, size and speed for every number of removed layers
run::Command generate_command();  // continue a text with layers left out
run::Command heal_command();      // train small MLPs where layers were removed

// The words of --metric and what they mean, without `all`.
std::vector<run::Choice<Metric>> metric_choices();

// A ranking by any metric: measured on `windows` when the metric needs text, with a progress bar. `count` matters for `angular`, whose
// lowest span of that many layers comes first.
std::vector<int64_t> ranking(LayeredModel& model, Metric metric, const Windows& windows, int64_t count, run::Context& context);

}  // namespace tessera::shortgpt
