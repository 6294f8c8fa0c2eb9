#pragma once
// The embedded experiment: GaLore against full-rank Adam and against low-rank weights, on small Llamas and real prose.

#include "tessera/lm/model.h"
#include "tessera/run/method.h"
#include "tessera/run/report.h"
#include "tessera/train/optim/options.h"

namespace tessera::galore {

void reproduce(run::Report& report, run::Context& context, run::Mode mode);

// The claims, in the order of the report. Their rules were committed before the first measurement that could decide them.
namespace claims {
extern const run::Claim matches_full_rank;  // C1
extern const run::Claim eight_bits;         // C2
extern const run::Claim beats_low_rank;     // C3
extern const run::Claim memory;             // C4
extern const run::Claim exact_bytes;        // C5
extern const run::Claim cheap_subspaces;    // C6
}  // namespace claims

// How the layers' weights are trained.
enum class Weights { full, low_rank, lora };

// One way of training, compared with the others at an equal number of steps on equal text.
struct Arm {
  std::string key, name;
  Weights weights = Weights::full;
  train::OptimOptions optim;
  double matrix_rate = 0.01, other_rate = 0.01;  // peaks: of the layers' matrices; of embedding, head and gains
  int64_t seeds = 1;
};

// Sizes of the experiment.
struct Plan {
  int64_t width = 128, layers = 4, ffn = 352, heads = 4, rank = 32, gap = 100;
  int64_t steps = 400, rows = 16, length = 128;
  int64_t seeds = 3, evaluation_rows = 192;
};

// Bytes of prose: a token is a byte.
struct Prose {
  std::string training, held_out;
  std::string what;  // for the report
};
// Debian's books, one document of twenty held out; made-up words where none is installed. For `rates` what the experiment holds out is left
// out and another twentieth stands in its place: no rate is chosen by a text that judges a claim.
enum class ProseFor { claims, quick, rates };
Prose real_prose(ProseFor use);

// The six arms, with the rates that `tessera galore tune --steps 200` found best.
std::vector<Arm> arms_of(const Plan& plan);

struct ArmResult {
  std::vector<double> nats;   // of each held-out row, nats a byte
  std::vector<double> curve;  // training loss, nats a byte, every tenth of the run
  int64_t state_bytes = 0;    // of the tensors that the optimizer then holds
  int64_t said_bytes = 0;     // that it said before any was made
  double seconds = 0.0, subspace_seconds = 0.0;
  double overlap = 0.0;  // of successive subspaces; 0 without a switch
};

// Trains one arm from the seed's own weights and text order, and measures it.
ArmResult run_arm(const Arm& arm, const Plan& plan, const Prose& prose, uint64_t seed);

}  // namespace tessera::galore
