#pragma once
// What `plan` and `measure` both ask: a model, its optimizer and how a step runs.

#include <filesystem>

#include "tessera/train/optim_rows.h"

namespace tessera::galore {

struct StepOptions : train::OptimOptions {
  explicit StepOptions(int64_t rows) : batch(rows) { name = "galore-adamw"; }
  std::filesystem::path config;
  int64_t batch, seq = 256;  // rows of a step, and tokens of each
  bool per_layer = false, recompute = false, masters = true;
};

// A member of StepOptions as a member of what derives from it.
template <class T, class V>
V T::*step_member(V StepOptions::*member) {
  return member;
}

// The rows but those of the optimizer (train/optim_rows.h). `files`: what CONFIG may be. Settings struct T derives from StepOptions.
template <class T>
void add_step_rows(run::OptionTable<T>& table, const std::string& files) {
  const auto of = [](auto member) { return step_member<T>(member); };
  table.input("CONFIG", of(&StepOptions::config), files)
      .number("batch", of(&StepOptions::batch), run::Range{1, 1 << 20}, "rows of a step")
      .number("seq", of(&StepOptions::seq), run::Range{1, 1 << 20}, "tokens of a row")
      .flag("per-layer", of(&StepOptions::per_layer), "move each parameter in the backward pass: one gradient at a time")
      .flag("recompute", of(&StepOptions::recompute), "activation checkpointing of every block")
      .flag("masters", of(&StepOptions::masters), "with --dtype bf16, keep float32 copies of the weights, as tessera train does")
      .check([](const T& given) { train::check_optim_options(given); });
}

}  // namespace tessera::galore
