#pragma once
// Healing a pruned model (ShortGPT, section 4.4): where a block was removed, a residual gated MLP behind an RMSNorm is put and trained.
// Its down projection starts at zero, so that the healed model starts as the pruned one.

#include <functional>
#include <string>
#include <vector>

#include "tessera/lm/model.h"
#include "tessera/methods/shortgpt/layered.h"

namespace tessera::shortgpt {

struct HealOptions {
  int64_t width = 2048;         // inner width of an inserted MLP
  int64_t steps = 200;          // optimizer steps
  int64_t batch = 2;            // windows a step
  double learning_rate = 1e-3;  // peak: 5 % of the steps linearly up, then a cosine down to a tenth
  double weight_decay = 0.1;
  double clip = 1.0;       // largest norm of the gradient
  bool train_all = false;  // all weights instead of the inserted MLPs alone
  double distill = 0.0;    // weight of KL(dense || healed), temperature 1, added to the language-model loss
  uint64_t seed = 0;
  // Called after every step with its number from 1 and its loss in nats a token; false stops after that step.
  std::function<bool(int64_t step, double loss)> on_step = {};
};

// The removed blocks' indices in the dense model, as prune wrote them into the config ("tessera.removed_layers"). Throws InputError when
// there are none.
std::vector<int64_t> removed_layers(const lm::ModelConfig& config);

// Puts one MLP for each of `removed` (indices of the dense model, ascending) where its block was; returns their indices in the model now.
// gate and up are drawn from N(0, init_std) by seed, down is zero.
std::vector<int64_t> insert_mlps(lm::Transformer& model, std::vector<int64_t> removed, int64_t width, uint64_t seed);

// Trains with AdamW (0.9, 0.98) on windows drawn without replacement, epoch after epoch. `dense` is needed to distill, else may be null.
// Returns the loss of every step. Afterwards no parameter asks for gradients. Throws WorkError when the loss is no longer finite.
std::vector<double> heal(lm::Transformer& model, const std::vector<int64_t>& inserted, const Windows& windows, const HealOptions& options,
                         lm::Transformer dense = nullptr);

// Mean over tokens of KL(p || q) for logits [..., V] of p and q, nats.
torch::Tensor distillation_loss(const torch::Tensor& dense_logits, const torch::Tensor& logits);

}  // namespace tessera::shortgpt
