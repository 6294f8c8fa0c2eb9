// The claims of GaLore and the rules that judge them. Written before the first measurement that could decide one, and left alone after it.

#include "tessera/methods/galore/reproduce.h"

namespace tessera::galore::claims {

using run::PairedBootstrap;

const run::Claim matches_full_rank = {
    .id = "C1",
    .says = "Full-parameter training through a projected gradient of a quarter of the rank ends as low as full-rank Adam.",
    .theirs = "C4 perplexity 60M/130M/350M/1B: 34.88/25.36/18.95/15.64 against 34.06/25.08/18.80/15.56 (0.005 to 0.024 nats)",
    .measure = "held-out loss of GaLore-AdamW less that of AdamW, by held-out row, mean of three seeds with the same start and text",
    .unit = "nats a byte",
    .holds_if = {{.at_most = 0.05}, {.interval = PairedBootstrap{}, .at_most = 0.10}},
    .cannot_show = "perplexity on C4 at 1B parameters and 13B tokens."};

const run::Claim eight_bits = {
    .id = "C2",
    .says = "Moments of 8 bits cost GaLore nothing.",
    .theirs = "7B, 150K steps: 8-bit GaLore 14.65, 8-bit Adam 14.61",
    .measure = "held-out loss of GaLore-AdamW8bit less that of GaLore-AdamW, by held-out row, mean of three seeds",
    .unit = "nats a byte",
    .holds_if = {{.at_least = -0.02, .at_most = 0.02}}};

const run::Claim beats_low_rank = {
    .id = "C3",
    .says = "Weights W = B A of the same rank, trained from scratch, end far above.",
    .theirs = "C4 perplexity 60M/130M/350M/1B: 78.18/45.51/37.41/142.53 against GaLore's 34.88/25.36/18.95/15.64 (0.58 to 2.2 nats)",
    .measure = "held-out loss of W = B A less that of GaLore-AdamW, by held-out row, one seed",
    .unit = "nats a byte",
    .holds_if = {{.at_least = 0.15}},
    .cannot_show = "a gap as wide as the paper's: bytes are an easier text than a vocabulary of 32000."};

const run::Claim memory = {
    .id = "C4",
    .says = "GaLore saves 65 % of the optimizer's memory against bf16 Adam at 7B, and with 8 bits 82 %.",
    .theirs = "-65.5 % and -82.5 % (abstract)",
    .measure =
        "share of state bytes saved for Llama-7B at rank 1024, by the accounting that C5 checks: bf16 states; and 8-bit moments with an "
        "8-bit projector",
    .holds_if = {{.of = "bf16", .at_least = 0.645}, {.of = "8-bit, int8 projector", .at_least = 0.82}},
    .cannot_show = "-82.5 % with the published code, which keeps the projector in bf16: that is -78.9 %."};

const run::Claim exact_bytes = {
    .id = "C5",
    .says = "The optimizer holds what the accounting says, to the byte.",
    .theirs = "mn + mr + 2nr elements a matrix (table 1)",
    .measure = "largest difference between the bytes of the state tensors after a run and the bytes said before it, over all arms",
    .unit = "bytes",
    .holds_if = {{.at_least = 0, .at_most = 0}}};

const run::Claim cheap_subspaces = {.id = "C6",
                                    .says = "Finding the subspaces takes little of the training time.",
                                    .theirs = "less than 10 % (section 4.1)",
                                    .measure = "share of the training time of GaLore-AdamW spent finding subspaces, every 100 updates",
                                    .holds_if = {{.at_most = 0.10}}};

}  // namespace tessera::galore::claims
