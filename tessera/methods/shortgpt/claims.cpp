// The claims of ShortGPT and the rules that judge them. Written before the first measurement that could decide one, and left alone after
// it.

#include "tessera/methods/shortgpt/reproduce.h"

namespace tessera::shortgpt::claims {

using run::PairedBootstrap;

const run::Claim predicts_damage = {
    .id = "C1",
    .says = "Block Influence predicts how much a layer's removal hurts.",
    .theirs = "shown by the order of removal alone (Llama-2-7B: 27 26 25 28 24 29 23 21 22)",
    .measure =
        "Spearman's correlation over the 30 layers of SmolLM2-135M between BI on `anarchism` and the rise of log PPL on "
        "`debian-handbook` and WordNet's glosses when that layer alone is removed; windows of both resampled",
    .holds_if = {{.at_least = 0.5}, {.interval = PairedBootstrap{}, .above = 0.2}},
    .cannot_show = "that layers of a 7B model are as redundant: 135M parameters leave little slack."};

const run::Claim beats_baselines = {
    .id = "C2",
    .says =
        "Layers chosen by Block Influence cost less perplexity than the last layers, the first layers or random ones, and no more than "
        "those chosen by relative magnitude.",
    .theirs = "Llama-2-7B, 27 % removed, mean of 13 tasks: ShortGPT 41.24 of 47.78; LaCo 38.41, LLM-Pruner 34.78, SliceGPT 32.84",
    .measure =
        "log PPL of the other choice less log PPL of BI's, by evaluation window (for RM: BI's less RM's); of 5 random sets the one of "
        "median log PPL",
    .unit = "nats",
    .holds_if = {{.of = "reverse, n = 3", .interval = PairedBootstrap{}, .above = 0.0},
                 {.of = "sequential, n = 3", .interval = PairedBootstrap{}, .above = 0.0},
                 {.of = "median random, n = 3", .interval = PairedBootstrap{}, .above = 0.0},
                 {.of = "reverse, n = 5", .interval = PairedBootstrap{}, .above = 0.0},
                 {.of = "sequential, n = 5", .interval = PairedBootstrap{}, .above = 0.0},
                 {.of = "median random, n = 5", .interval = PairedBootstrap{}, .above = 0.0},
                 {.of = "BI over RM, n = 3", .at_most = 0.10},
                 {.of = "BI over RM, n = 5", .at_most = 0.10}},
    .cannot_show = "86 % of the quality at 27 % removed."};

const run::Claim generation_first = {
    .id = "C3",
    .says = "Generation collapses before multiple-choice accuracy does.",
    .theirs = "Llama-2-7B: XSum 19.40 -> 0.67 while MMLU 45.39 -> 43.96",
    .measure =
        "at n = 8: share of the dense model's above-chance accuracy on four-way WordNet items that is kept, less the share of tokens "
        "of its greedy continuations that are kept; items and continuations resampled",
    .unit = "points",
    .holds_if = {{.at_least = 15.0}, {.interval = PairedBootstrap{}, .above = 0.0}},
    .cannot_show = "summarisation: a 135M model does not summarise well before pruning either."};

const run::Claim quantised_too = {
    .id = "C4",
    .says = "Removal and 4-bit quantisation combine, in either order.",
    .theirs = "MMLU, Llama-2-7B 45.4: 4-bit 44.9; removal 44.0; quantise then remove 42.4; remove then quantise 41.2",
    .measure =
        "log PPL at n = 3, int4 in groups of 128, by evaluation window: between the two orders; and the rise with both beyond the sum "
        "of the rises with one",
    .unit = "nats",
    .holds_if = {{.of = "GPTQ, remove first less quantise first", .at_least = -0.05, .at_most = 0.05},
                 {.of = "RTN, remove first less quantise first", .at_least = -0.05, .at_most = 0.05},
                 {.of = "GPTQ, quantise first, beyond the sum", .at_most = 0.10},
                 {.of = "GPTQ, remove first, beyond the sum", .at_most = 0.10},
                 {.of = "RTN, beyond the sum", .at_most = 0.10}},
    .cannot_show = {}};

const run::Claim norm_placement = {
    .id = "C5",
    .says = "Pre-norm makes deep blocks change the stream less than post-norm does.",
    .theirs = "Figure 2: 32 layers, width 2048, 200B tokens; similarity of pre-norm layers goes to 1, of post-norm layers stays lower",
    .measure =
        "mean cosine of blocks 6 to 11, pre-norm less post-norm, 12 layers of width 192 trained from scratch on `anarchism`: same data, "
        "seed, schedule and step",
    .holds_if = {{.every = "seed", .at_least = 0.05}},
    .cannot_show = "what long training does: the paper's runs are 200B tokens, ours under a million."};

const run::Claim heals = {
    .id = "C6",
    .says = "A short training of MLPs put where layers were removed recovers quality.",
    .theirs = "Llama-2-7B, 50B tokens, all weights: 41.22 -> 43.16 of 47.78 (30 % of the gap)",
    .measure = "share of the gap in log PPL between dense and n = 8 that 200 steps of the inserted MLPs alone close, on held-out windows",
    .holds_if = {{.at_least = 0.30}},
    .cannot_show = "the paper's budget of 50B tokens."};

const run::Claim mamba = {
    .id = "C7",
    .says = "Block Influence also chooses layers of a Mamba well.",
    .theirs = "Mamba-2.8B keeps 90.4 % of its average at 25 % removed",
    .measure =
        "log PPL of the random order of median log PPL (of 5) less log PPL of BI's order at n = 3, by held-out window: 12 Mamba blocks "
        "of width 192 trained from scratch on `anarchism`",
    .unit = "nats",
    .holds_if = {{.interval = PairedBootstrap{}, .above = 0.0}},
    .cannot_show = "a Mamba of useful size, and RWKV."};

}  // namespace tessera::shortgpt::claims
