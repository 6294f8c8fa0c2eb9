#pragma once
// What a person can say about the optimizer: the fields behind --optim and its companions, the same in every training command.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::train {

// Which side of a gradient [m, n] GaLore projects: standard is the right (columns) for m >= n, else the left (rows).
enum class Projection { standard, reverse_standard, left, right, full };
// How the subspace is found: singular vectors exactly; eigenvectors of the Gram matrix in float64; a randomized range finder.
enum class Svd { exact, gram, randomized };
// What a projector is kept as between refreshes. int8, int4: Q-GaLore (arXiv 2407.08296), blocks of 256 with a scale and a zero each.
enum class ProjectorDtype { float32, bfloat16, int8, int4 };
// What becomes of the moments when the subspace changes.
enum class OnSwitch { keep, reset, rotate };
// Which side standard takes of a square matrix: the published code's right, or the paper's left.
enum class SquareSide { right, left };
enum class StateDtype { float32, bfloat16 };
// What multiplies a matrix's rate under Muon: see muon_rule.h.
enum class MuonRate { adamw, spectral };

// Unset fields take the rule's own default; a field that the rule has no use for is refused (see check_optim_options).
// Weight decay and rates are the parameters' own (Parameter::weight_decay, lr_scale) and the schedule's.
struct OptimOptions {
  std::string name = "adamw";                  // one of optim_names()
  std::optional<double> beta1 = {};            // adamw .9, lion .9, adafactor: no first moment
  std::optional<double> beta2 = {};            // adamw .999, lion .99
  std::optional<double> eps = {};              // adamw 1e-8, galore-adamw 1e-6, muon 1e-7
  std::optional<double> momentum = {};         // sgd 0.9, muon 0.95
  std::optional<bool> nesterov = {};           // sgd no, muon yes
  std::optional<StateDtype> state_dtype = {};  // adamw, galore-adamw: what the moments are kept as
  std::optional<MuonRate> muon_rate = {};      // muon: adamw
  std::optional<bool> scale_parameter = {};    // adafactor: the rate is multiplied by the RMS of the weights; off
  std::optional<bool> relative_step = {};      // adafactor: min(1e-2, 1/sqrt(t)) instead of the schedule; off
  std::optional<bool> warmup_init = {};        // adafactor, with relative_step: min(1e-6 t, 1/sqrt(t)); off

  // galore-*
  std::optional<int64_t> rank = {};  // 128; clipped to the smaller side
  // Off: --rank is the rank. Else every refresh takes the fewest directions that hold this share of the gradient's squares, at most --rank
  // (AdaRankGrad, arXiv 2410.17881).
  std::optional<double> rank_energy = {};
  std::vector<std::string> targets = {};  // parts of names, "attn", "mlp": only matrices with one of them are projected; empty: all
  std::optional<int64_t> gap = {};        // 200: updates between two refreshes of a subspace (T)
  std::optional<double> scale = {};       // .25: multiplies the back-projected update (alpha); 2 to 4 for finetuning
  std::optional<Projection> projection = {};
  std::optional<Svd> svd = {};  // gram
  std::optional<ProjectorDtype> projector_dtype = {};
  std::optional<OnSwitch> on_switch = {};
  std::optional<SquareSide> square = {};
  std::optional<bool> stagger = {};  // refreshes of different matrices fall on different steps; off
  std::optional<bool> compat = {};   // galore-adamw8bit: the low-rank update is rounded to bfloat16 before the back-projection; off
};

}  // namespace tessera::train
