#pragma once
// Low-rank baselines on the linear layers of any model, by the adapters of lora.h: W = B A trained from scratch (Kamalakara et al., arXiv
// 2209.13569), and ReLoRA (Lialin et al., arXiv 2307.05695), which merges and restarts its adapters.

#include <string>
#include <vector>

#include "tessera/train/optimizer.h"

namespace tessera::train {

struct LowRankOptions {
  int64_t rank = 128;
  std::vector<std::string> targets = {};  // the last words of the layers' paths; empty: every linear layer
  double std = 0.02;                      // of the product B A at the start, as of a fresh weight
  uint64_t seed = 0;
};

// Makes every target layer W = B A: its own weight becomes zero and frozen (its memory stays), A and B are drawn so that the entries of the
// product have variance std^2. All other parameters of the model are frozen, as by add_lora: the caller frees those it trains. Throws
// InputError as add_lora.
void make_low_rank(torch::nn::Module& model, const LowRankOptions& options);

// One restart of ReLoRA, between two updates: adds B A to every weight, draws A anew and makes B zero, in the memory they have; of their
// moments in `optimizer` (over lora_parameters among others) the first `kept` share of largest size stays and the rest becomes zero (the
// published code keeps 1 %; moments kept as codes become zero as a whole).
void restart_lora(torch::nn::Module& model, Optimizer& optimizer, uint64_t seed, double kept = 0.01);

}  // namespace tessera::train
