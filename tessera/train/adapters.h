#pragma once
// How the matrices of a language model are trained: whole, or by low-rank factors (LoRA, W = B A, ReLoRA). The baselines of full training,
// as one setting of every training command.

#include <optional>

#include "tessera/lm/model.h"
#include "tessera/train/optimizer.h"
#include "tessera/train/schedule.h"
#include "tessera/train/task.h"

namespace tessera::train {

enum class Weights {
  full,      // every weight
  lora,      // W + (alpha / r) B A with W frozen (arXiv 2106.09685)
  low_rank,  // W = B A from scratch (arXiv 2209.13569)
  relora     // lora whose product is added to W now and then, and begun anew (arXiv 2307.05695)
};
// What is trained beside the factors: embeddings, gains, biases, head.
enum class Rest { frozen, trained };

// Unset fields take the way's own default; a field that it has no use for is refused.
struct AdapterOptions {
  Weights weights = Weights::full;
  std::optional<int64_t> lora_rank = {};    // lora 8; low_rank, relora: a quarter of the model's width
  std::optional<double> lora_alpha = {};    // lora: 2 ranks; relora: a quarter of the rank, as its code (32 for 128)
  std::vector<std::string> lora_targets{};  // last words of the layers' paths, "q_proj"; empty: every linear layer
  std::optional<Rest> lora_rest = {};       // trained, but frozen for lora on weights that were read
  // relora
  std::optional<int64_t> restart_every = {};   // optimizer steps between restarts; a quarter of the run
  std::optional<int64_t> restart_warmup = {};  // steps over which the rate rises again from 0; 100, at most half a cycle
  std::optional<double> restart_keep = {};     // share of the moments that stays, the largest; .01
};

// Throws InputError for values out of range and fields that say nothing to `weights`. Cheap: for parse time.
void check_adapters(const AdapterOptions& options);

// The options with every default filled in for this model and run of `steps`. `fresh`: the weights were drawn, not read.
AdapterOptions filled_adapters(const AdapterOptions& options, const lm::ModelConfig& config, int64_t steps, bool fresh);

// Whether the result is an adapter to unchanged weights, which PEFT's layout can hold.
bool is_plain_lora(const AdapterOptions& filled);

// Hangs the factors on the model and marks what is trained. `shapes_only`: no weight of the model is touched (a plan). Throws InputError as
// add_lora.
enum class Touch { weights, shapes_only };
void adapt(lm::Transformer& model, const AdapterOptions& filled, uint64_t seed, Touch touch = Touch::weights);

// The jags of ReLoRA's schedule, for steps of `batch` tokens.
void add_restarts(Schedule& schedule, const AdapterOptions& filled, int64_t batch);

// Completes a language task over an adapted model: its parameters, restarts, and adapters beside the weights of every checkpoint, in the
// folder "adapter". Nothing for full weights.
void adapt_task(Task& task, lm::Transformer model, const AdapterOptions& filled, uint64_t seed, double weight_decay);

}  // namespace tessera::train
