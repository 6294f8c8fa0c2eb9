#pragma once
// The rows of --optim and its companions, for the option table of any command that trains.

#include "tessera/run/options.h"
#include "tessera/train/optim/options.h"
#include "tessera/train/optim/registry.h"

namespace tessera::train {

// A member of OptimOptions as a member of what derives from it.
template <class T, class V>
V T::*optim_member(V OptimOptions::*member) {
  return member;
}

// Settings struct T derives from OptimOptions; train::check_optim_options(settings) checks what no single row can see.
template <class T>
void add_optim_rows(run::OptionTable<T>& table) {
  const auto of = [](auto member) { return optim_member<T>(member); };
  std::string names;
  for (const auto& each : optim_names()) names += (names.empty() ? "" : ", ") + each.name;
  table.text("optim", of(&OptimOptions::name), "the rule that moves the weights: " + names)
      .number("beta1", of(&OptimOptions::beta1), run::Range{0, 1}, "decay of the mean of gradients")
      .number("beta2", of(&OptimOptions::beta2), run::Range{0, 1}, "decay of the mean of their squares")
      .number("eps", of(&OptimOptions::eps), run::Range{0}, "added to the root of the mean square")
      .number("momentum", of(&OptimOptions::momentum), run::Range{0, 1}, "of sgd and muon")
      .choice("nesterov", of(&OptimOptions::nesterov), {{"yes", true, "look ahead"}, {"no", false, "do not"}}, "Nesterov's momentum")
      .choice("state-dtype", of(&OptimOptions::state_dtype),
              {{"fp32", StateDtype::float32, "4 bytes a number"}, {"bf16", StateDtype::bfloat16, "2 bytes a number"}},
              "what moments are kept as")
      .choice("muon-rate", of(&OptimOptions::muon_rate),
              {{"adamw", MuonRate::adamw, "0.2 sqrt of the larger side: suits AdamW's rates"},
               {"spectral", MuonRate::spectral, "sqrt of max(1, rows / columns), the original"}},
              "muon: what multiplies the rate of a matrix")
      .choice("scale-parameter", of(&OptimOptions::scale_parameter), {{"yes", true, "multiply"}, {"no", false, "do not"}},
              "adafactor: the rate times the root mean square of the weights")
      .choice("relative-step", of(&OptimOptions::relative_step), {{"yes", true, "by the step"}, {"no", false, "by the schedule"}},
              "adafactor: the rate is min(0.01, 1/sqrt(step))")
      .choice("warmup-init", of(&OptimOptions::warmup_init), {{"yes", true, "from 1e-6"}, {"no", false, "from 0.01"}},
              "adafactor: relative steps begin at 1e-6 step")
      .number("rank", of(&OptimOptions::rank), run::Range{1}, "galore: dimensions of the subspace")
      .number("rank-energy", of(&OptimOptions::rank_energy), run::Range{0, 1},
              "galore: at each refresh the fewest directions that hold this share of the gradient's squares; --rank is the most")
      .list("targets", of(&OptimOptions::targets), "galore: project only matrices whose name holds one of these, such as attn,mlp")
      .number("gap", of(&OptimOptions::gap), run::Range{1}, "galore: updates between two refreshes of the subspace")
      .number("scale", of(&OptimOptions::scale), run::Range{0}, "galore: factor of the projected-back update")
      .choice("proj", of(&OptimOptions::projection),
              {{"std", Projection::standard, "the smaller side"},
               {"reverse_std", Projection::reverse_standard, "the larger side"},
               {"left", Projection::left, "rows"},
               {"right", Projection::right, "columns"},
               {"full", Projection::full, "both"}},
              "galore: which side of a gradient is projected")
      .choice("svd", of(&OptimOptions::svd),
              {{"exact", Svd::exact, "singular vectors"},
               {"gram", Svd::gram, "eigenvectors of the Gram matrix, in float64"},
               {"randomized", Svd::randomized, "a range finder"}},
              "galore: how the subspace is found")
      .choice("proj-dtype", of(&OptimOptions::projector_dtype),
              {{"fp32", ProjectorDtype::float32, "4 bytes a number"},
               {"bf16", ProjectorDtype::bfloat16, "2"},
               {"int8", ProjectorDtype::int8, "1"},
               {"int4", ProjectorDtype::int4, "a half"}},
              "galore: what a projector is kept as")
      .choice("on-switch", of(&OptimOptions::on_switch),
              {{"keep", OnSwitch::keep, "as they are"}, {"reset", OnSwitch::reset, "to zero"}, {"rotate", OnSwitch::rotate, "turned"}},
              "galore: the moments when the subspace changes")
      .choice("square", of(&OptimOptions::square),
              {{"right", SquareSide::right, "as the published code"}, {"left", SquareSide::left, "as the paper"}},
              "galore: the side of a square matrix")
      .choice("stagger", of(&OptimOptions::stagger), {{"yes", true, "spread them"}, {"no", false, "all at once"}},
              "galore: refreshes of different matrices fall on different steps")
      .choice("compat", of(&OptimOptions::compat), {{"yes", true, "as the published code"}, {"no", false, "keep float32"}},
              "galore-adamw8bit: round the update to bf16 before it is projected back");
}

}  // namespace tessera::train
