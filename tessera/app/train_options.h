#pragma once
// The options of `train`.

#include "tessera/run/command.h"
#include "tessera/train/adapters.h"
#include "tessera/train/language.h"
#include "tessera/train/optim/options.h"
#include "tessera/train/schedule.h"

namespace tessera::app {

// Where gradients of micro-batches add up: as they are, or in GaLore's subspaces.
enum class Accumulate { full, low_rank };

struct TrainCommand : train::OptimOptions, train::AdapterOptions {
  std::vector<std::string> data, eval;
  double held_out = 0.01;
  std::string model = "small";
  std::filesystem::path tokenizer;
  int64_t vocab = 8192;
  int64_t tokens = 0, length = 256, batch = 4096, micro = 0;
  std::vector<std::string> stages;
  bool mask_documents = false, recompute = false, per_layer = false, masters = true;
  std::optional<double> lr;
  double min_lr = 0.1, warmup = 0.03, cooldown = 0.2, clip = 1.0, weight_decay = 0.1, z_loss = 0.0, ema = 0.0;
  train::Decay schedule = train::Decay::cosine;
  std::vector<std::string> pieces;
  Accumulate accumulate = Accumulate::full;
  train::Packing packing = train::Packing::concatenate;
  int64_t save_every = 0, eval_every = 0, keep = 2;
  bool merge = true, resume = false, dry_run = false;
};

run::OptionTable<TrainCommand> train_options();

// "70M@128", "10M@256:books=2+letters=1", "300000@512": tokens, row length and shares by corpus name. Without stages: one of `tokens` and
// `length`. Throws InputError naming the stage and what is wrong with it.
std::vector<train::Stage> stages_of(const TrainCommand& options, const std::vector<std::string>& corpora);

// "0.8=0.1", "70M=0.1": from that share of the run, or number of tokens, on the peak times that factor. Of a run of `tokens`.
std::vector<std::pair<int64_t, double>> pieces_of(const TrainCommand& options, int64_t tokens);

// `train RECIPE ...` becomes train --recipe RECIPE ..., and `train --resume RUN ...` takes the run's recipe and folder.
void unfold_train(std::vector<std::string>& words);

}  // namespace tessera::app
