// The claims of Danube and the rules that judge them. Written before the first measurement that could decide one, and left alone after it.

#include "tessera/methods/danube/experiment.h"

namespace tessera::danube::claims {

using run::PairedBootstrap;

const run::Claim layout = {
    .id = "C1",
    .says = "The public checkpoints have 1.8 billion parameters, and the window makes the cache of 16384 tokens a quarter.",
    .theirs = "Danube 1.8B (table 1); a window of 4096 tokens",
    .measure = "parameters by the layout's tensors; MiB of keys and values in bf16 for 16384 tokens, with the window and without",
    .holds_if = {{.of = "parameters", .at_least = 1'831'201'280, .at_most = 1'831'201'280},
                 {.of = "MiB with the window", .at_least = 240, .at_most = 240},
                 {.of = "MiB without", .at_least = 960, .at_most = 960}}};

const run::Claim time = {
    .id = "C2",
    .says = "Growing the context in stages at a constant token batch and window takes less time than training at full length.",
    .theirs = "said without a table: 700B tokens at 2048, then 100B each at 4096, 8192 and 16384",
    .measure =
        "wall(S) / wall(L), one value a seed: S 70 % at 128 and 10 % each at 256, 512 and 1024 tokens, L all at 1024; a stage's time is "
        "its steps times its median step",
    .holds_if = {{.at_most = 0.90}},
    .cannot_show = "the ratio at d = 2560 on a GPU: it follows attention's share of the work."};

const run::Claim length = {
    .id = "C3",
    .says = "The staged model predicts as well late in a long context as the one trained at full length.",
    .theirs = "one model of 16384 tokens; no ablation",
    .measure =
        "NLL(S) - NLL(L) of targets 512 to 1023 on held-out windows of 1024 tokens, paired by seed and window, same tokens and order",
    .unit = "nats a token",
    .holds_if = {{.interval = PairedBootstrap{.resamples = 2000}, .at_most = 0.03}},
    .cannot_show = "use of 16384 tokens: 0.9M parameters in minutes learn no long-range retrieval."};

const run::Claim short_only = {
    .id = "C4",
    .says = "The short stages alone do not do: a model trained at 128 tokens breaks beyond them.",
    .theirs = "why the length is grown at all",
    .measure = "NLL(C) - NLL(S) of targets 512 to 1023; C is forked from S after its first stage and stays at 128 tokens",
    .unit = "nats a token",
    .holds_if = {{.at_least = 0.05}, {.interval = PairedBootstrap{.resamples = 2000}, .above = 0.0}}};

const run::Claim preference = {
    .id = "C5",
    .says = "DPO with LoRA teaches preferences that more SFT on the chosen answers does not, and keeps their likelihood.",
    .theirs = "chat after SFT and two rounds of DPO; MT-Bench 6.41 on turn 1",
    .measure =
        "held-out pairs: preference accuracy of DPO (margin over its reference) less that of SFT with two more epochs on the chosen "
        "answers (plain log-probability), in points; and the rise of the chosen answers' NLL against SFT, in per cent",
    .holds_if = {{.of = "accuracy, points", .at_least = 5.0},
                 {.of = "accuracy, points", .interval = PairedBootstrap{.resamples = 2000}, .above = 0.0},
                 {.of = "NLL of the chosen, per cent", .at_most = 10.0}},
    .cannot_show = "answers that a person would prefer."};

const run::Claim order = {
    .id = "C6",
    .says = "Better data late: the same texts with less noise towards the end give a lower loss on prose.",
    .theirs =
        "Danube2: web share 84.5 %, 72.8 %, 55.5 % over 1T, 0.95T and 0.05T tokens; 48.72 against 39.12 on the leaderboard, with other "
        "changes",
    .measure = "NLL on held-out prose, constant mix less ordered mix of the same totals, by window, mean of three seeds",
    .unit = "nats a token",
    .holds_if = {{.interval = PairedBootstrap{.resamples = 2000}, .above = 0.0}},
    .cannot_show = "the leaderboard's gain, which came with a filter and another vocabulary."};

const run::Claim vocabulary = {
    .id = "C7",
    .says = "Rows copied into a new vocabulary are a better start than fresh ones.",
    .theirs = "Danube2 changes from Llama's vocabulary to Mistral's; no ablation",
    .measure =
        "held-out NLL with fresh embedding and head less that with copied rows, 512 -> 768 pieces, at every checkpoint of the first half",
    .unit = "nats a token",
    .holds_if = {{.every = "checkpoint", .above = 0.0}}};

}  // namespace tessera::danube::claims
