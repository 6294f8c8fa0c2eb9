#pragma once
// A language model as ShortGPT sees it: embeddings, L layers that map the residual stream to itself, a final norm, losses. What is scored
// and removed is a layer of it: a Transformer's block, one branch of one, a Mamba or RWKV block.
// B windows, T tokens, D width.

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "tessera/lm/model.h"
#include "tessera/nn/mamba.h"
#include "tessera/nn/rwkv.h"

namespace tessera::shortgpt {

class LayeredModel {
 public:
  virtual ~LayeredModel() = default;
  virtual int64_t depth() const = 0;  // L
  // ids: [B, T] int64 -> X_0 [B, T, D]. What the layers share (positions, masks) is kept until the next start.
  virtual torch::Tensor start(const torch::Tensor& ids) = 0;
  virtual torch::Tensor layer(int64_t index, const torch::Tensor& x) = 0;  // X_i -> X_{i+1}
  virtual torch::Tensor final_norm(const torch::Tensor& x) = 0;
  // Nats of each target [B, S] given final-normed states [B, S, D]: [B, S] float32.
  virtual torch::Tensor losses(const torch::Tensor& normed, const torch::Tensor& targets) = 0;
};

// Blocks of a Transformer; with `branches`, layer 2i is the attention branch of block i and 2i + 1 its FFN branch.
std::unique_ptr<LayeredModel> layers_of(lm::Transformer model, bool branches = false);
std::unique_ptr<LayeredModel> layers_of(nn::Mamba model);
std::unique_ptr<LayeredModel> layers_of(nn::Rwkv model);

// Windows of calibration or evaluation text: [T] int64 each, every one a sequence of its own from position 0.
using Windows = std::vector<torch::Tensor>;

}  // namespace tessera::shortgpt
