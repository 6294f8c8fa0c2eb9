#pragma once
// The rows of --weights and its companions, for the option table of any command that trains a language model.

#include "tessera/run/options.h"
#include "tessera/train/adapters.h"

namespace tessera::train {

// A member of AdapterOptions as a member of what derives from it.
template <class T, class V>
V T::*adapter_member(V AdapterOptions::*member) {
  return member;
}

// Settings struct T derives from AdapterOptions; train::check_adapters(settings) checks what no single row can see.
template <class T>
void add_adapter_rows(run::OptionTable<T>& table) {
  const auto of = [](auto member) { return adapter_member<T>(member); };
  table
      .choice("weights", of(&AdapterOptions::weights),
              {{"full", Weights::full, "every weight"},
               {"lora", Weights::lora, "low-rank sums to frozen matrices (LoRA)"},
               {"low-rank", Weights::low_rank, "matrices W = B A from scratch"},
               {"relora", Weights::relora, "LoRA that adds itself to the matrices and begins anew (ReLoRA)"}},
              "what of the layers' matrices is trained")
      .number("lora-rank", of(&AdapterOptions::lora_rank), run::Range{1}, "columns of the factors; lora 8, else a quarter of the width")
      .number("lora-alpha", of(&AdapterOptions::lora_alpha), run::Range{0}, "B A is multiplied by alpha / rank; lora: twice the rank")
      .list("lora-targets", of(&AdapterOptions::lora_targets), "layers that get factors, such as q_proj,v_proj; left out: all linear ones")
      .choice("lora-rest", of(&AdapterOptions::lora_rest),
              {{"frozen", Rest::frozen, "factors alone"}, {"trained", Rest::trained, "embeddings, gains and head too"}},
              "what is trained beside the factors; frozen for lora on a model that was read, else trained")
      .number("restart-every", of(&AdapterOptions::restart_every), run::Range{2}, "relora: steps of a cycle; a quarter of the run")
      .number("restart-warmup", of(&AdapterOptions::restart_warmup), run::Range{0}, "relora: steps over which the rate rises again")
      .number("restart-keep", of(&AdapterOptions::restart_keep), run::Range{0, 1}, "relora: share of the moments that stays; .01");
}

}  // namespace tessera::train
