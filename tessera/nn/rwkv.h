#pragma once
// RWKV, version 4 (Peng et al., arXiv 2305.13048), in the layout of Hugging Face checkpoints: rwkv.embeddings.weight,
// rwkv.blocks.0.pre_ln, rwkv.blocks.{i}.{ln1,ln2}, rwkv.blocks.{i}.attention.{time_decay,time_first,time_mix_key,time_mix_value,
// time_mix_receptance,key,value,receptance,output}, rwkv.blocks.{i}.feed_forward.{time_mix_key,time_mix_receptance,key,receptance,value},
// rwkv.ln_out, head.weight. B sequences, T tokens, D model width, A width of the attention, F inner width of the feed-forward.

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "tessera/nn/linear.h"
#include "tessera/nn/norm.h"
#include "tessera/nn/rwkv_wkv.h"

namespace tessera::nn {

struct RwkvConfig {
  int64_t vocab = 0, width = 0, depth = 0;
  int64_t attention = 0;  // A
  int64_t inner = 0;      // F
  double norm_eps = 1e-5;
  bool tied_head = false;
};

// Reads a config.json of model_type "rwkv". `rescale_every` is not needed: halving the stream and the weights that write to it every so
// many blocks only keeps fp16 from overflowing. Throws InputError naming the key for a missing or wrong one.
RwkvConfig parse_rwkv_config(const nlohmann::ordered_json& config);

// What a block hands to its next token.
struct RwkvState {
  torch::Tensor attended, fed;  // [B, D]: the last inputs of the two branches; undefined before the first token
  WkvState wkv;
};

// Time mixing: token by token, the past enters through a recurrence.
class RwkvAttentionImpl : public torch::nn::Module {
 public:
  explicit RwkvAttentionImpl(const RwkvConfig& config);
  torch::Tensor forward(const torch::Tensor& x, RwkvState* state = nullptr);  // [B, T, D] -> [B, T, D]

  Linear key{nullptr}, value{nullptr}, receptance{nullptr}, output{nullptr};
  torch::Tensor time_decay, time_first;                             // [A]; decay by exp(-exp(time_decay)) a token
  torch::Tensor time_mix_key, time_mix_value, time_mix_receptance;  // [1, 1, D]: the current token's share, the rest is the token before
};
TORCH_MODULE(RwkvAttention);

// Channel mixing: a squared-ReLU layer behind a gate.
class RwkvFeedForwardImpl : public torch::nn::Module {
 public:
  explicit RwkvFeedForwardImpl(const RwkvConfig& config);
  torch::Tensor forward(const torch::Tensor& x, RwkvState* state = nullptr);  // [B, T, D] -> [B, T, D]

  Linear key{nullptr}, receptance{nullptr}, value{nullptr};
  torch::Tensor time_mix_key, time_mix_receptance;  // [1, 1, D]
};
TORCH_MODULE(RwkvFeedForward);

// y = x + attention(ln1(x)); y + feed_forward(ln2(y)): the unit that Block Influence scores and pruning removes.
class RwkvBlockImpl : public torch::nn::Module {
 public:
  explicit RwkvBlockImpl(const RwkvConfig& config);
  torch::Tensor forward(const torch::Tensor& x, RwkvState* state = nullptr);  // [B, T, D] -> [B, T, D]

  Norm ln1{nullptr}, ln2{nullptr};
  RwkvAttention attention{nullptr};
  RwkvFeedForward feed_forward{nullptr};
};
TORCH_MODULE(RwkvBlock);

// The language model. Parameters are allocated and left unfilled: load them.
class RwkvImpl : public torch::nn::Module {
 public:
  explicit RwkvImpl(const RwkvConfig& config);
  // ids: [B, T] int64 -> logits [B, T, V]. `states`: one a block, in block order; an empty vector is filled at the first call. With them,
  // T >= 1 more tokens of sequences begun before.
  torch::Tensor forward(const torch::Tensor& ids, std::vector<RwkvState>* states = nullptr);

  torch::Tensor embed(const torch::Tensor& ids);            // [B, T] -> [B, T, D], behind pre_ln: what the first block reads
  RwkvBlock block(int64_t index) const;                     // 0 <= index < depth()
  torch::Tensor final_norm(const torch::Tensor& x);         // [..., D]
  torch::Tensor logits(const torch::Tensor& normed) const;  // [..., D] -> [..., V]
  int64_t depth() const { return config_.depth; }
  const RwkvConfig& config() const { return config_; }

  // Takes blocks out; the rest are renumbered, and with them the states of later calls; pre_ln stays before the first that is left. Throws
  // InputError on an index out of range or repeated, and when no block would be left.
  void remove_blocks(const std::vector<int64_t>& indices);

 private:
  void number_blocks();

  RwkvConfig config_;
  torch::Tensor embedding_, head_;  // head_: undefined when tied
  std::shared_ptr<torch::nn::Module> rwkv_, holder_;
  std::vector<RwkvBlock> blocks_;
  Norm pre_ln_{nullptr}, ln_out_{nullptr};
};
TORCH_MODULE(Rwkv);

}  // namespace tessera::nn
