#pragma once
// The Transformer of every decoder-only language model here: one module, its differences named by ModelConfig.
// B sequences, T tokens of this call, D width, V vocabulary. Parameters carry the names of Hugging Face's Llama layout:
// model.embed_tokens.weight, model.layers.{i}.self_attn.q_proj.weight, model.layers.{i}.mlp.up_proj.weight, model.norm.weight,
// lm_head.weight.

#include <functional>
#include <optional>

#include "tessera/lm/config.h"
#include "tessera/nn/attention.h"
#include "tessera/nn/ffn.h"

namespace tessera::lm {

// Which branches a pass leaves out, by block; shorter vectors mean "kept".
struct Skip {
  std::vector<bool> attention = {}, ffn = {};
  bool store_kv = false;  // a skipped attention still computes and caches k and v (ShortGPT's prefill-only mode)

  bool skips_attention(int64_t block) const { return block < static_cast<int64_t>(attention.size()) && attention[block]; }
  bool skips_ffn(int64_t block) const { return block < static_cast<int64_t>(ffn.size()) && ffn[block]; }
  // Whole blocks left out.
  static Skip blocks(const std::vector<int64_t>& indices, bool store_kv = false);
};

// One call's circumstances; all may stay empty.
struct PassOptions {
  torch::Tensor mask = {};       // [B, T] bool, false for padding tokens; padding never is attended to, and counts no position
  torch::Tensor positions = {};  // [B or 1, T] int64; undefined: counted from the cache's length, over real tokens, or within documents
  torch::Tensor documents =
      {};  // [B, T] int64, packed documents: a token attends within its own (equal numbers, contiguous); not with a cache
  nn::KvCache* cache = nullptr;
  Skip skip = {};
};

// What all blocks of one call share: rotary tables, masks, the cache. Made by Transformer::start; dies with the call.
struct Pass {
  nn::RopeTable rope, local_rope;      // undefined tensors where nothing rotates
  nn::AttentionMask mask, local_mask;  // for full and for sliding layers
  torch::Tensor positions;             // [B or 1, T] int64
  nn::KvCache* cache = nullptr;
  Skip skip;
};

// One block. The stream x is [B, T, D]; none of these changes x.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const ModelConfig& config, const LayerConfig& layer);
  // The stream after the block; `slot` is the block's place in its model, and so in the cache and the skip set.
  torch::Tensor forward(const torch::Tensor& x, Pass& pass, int64_t slot);
  // The stream after the attention branch alone, and after the FFN branch alone, whatever the skip set says.
  torch::Tensor after_attention(const torch::Tensor& x, Pass& pass, int64_t slot);
  torch::Tensor after_ffn(const torch::Tensor& x);
  // k and v of x into the cache, and nothing else.
  void store_kv(const torch::Tensor& x, Pass& pass, int64_t slot);

  nn::Norm input_layernorm{nullptr}, post_attention_layernorm{nullptr};              // pre and post placement: before (after) each branch
  nn::Norm pre_feedforward_layernorm{nullptr}, post_feedforward_layernorm{nullptr};  // sandwich only
  nn::Attention self_attn{nullptr};                                                  // null without that branch
  nn::Ffn mlp{nullptr};
  LayerConfig layer;

 private:
  nn::AttentionInputs inputs(Pass& pass, int64_t slot) const;
  torch::Tensor attention_branch(const torch::Tensor& x, Pass& pass, int64_t slot);
  NormPlacement placement_;
};
TORCH_MODULE(Block);

class TransformerImpl : public torch::nn::Module {
 public:
  // Allocates the parameters and leaves them unfilled: load them (lm/load.h) or call init_weights.
  explicit TransformerImpl(const ModelConfig& config);

  // ids: [B, T] int64 -> logits [B, T, V]. Throws InputError for an id outside the vocabulary, and for a token beyond max_positions
  // where positions are learned.
  torch::Tensor forward(const torch::Tensor& ids, const PassOptions& options = {});
  // ids -> hidden states after the final norm [B, T, D].
  torch::Tensor hidden(const torch::Tensor& ids, const PassOptions& options = {});

  // The same in steps: pass = start(ids), x = embed(ids, pass), x = block(i)->forward(x, pass, i) for every i, finish(pass, T),
  // logits(final_norm(x)).
  Pass start(const torch::Tensor& ids, const PassOptions& options = {}) const;
  torch::Tensor embed(const torch::Tensor& ids, const Pass& pass);  // [B, T] -> [B, T, D], scaled, positions added
  Block block(int64_t index) const;                                 // 0 <= index < depth()
  void finish(Pass& pass, int64_t tokens) const;                    // moves the cache past the T tokens; needed with a cache only
  torch::Tensor final_norm(const torch::Tensor& x);
  torch::Tensor logits(const torch::Tensor& normed);  // [..., D] -> [..., V]
  // Negative log-likelihood, nats, of `targets` [...] int64 given final-normed hidden states [..., D]: float32 [...]; 0 where a target is
  // negative. Made a few rows at a time when no gradient is recorded, so that the logits never lie in memory at once.
  torch::Tensor losses(const torch::Tensor& normed, const torch::Tensor& targets);

  int64_t depth() const { return config_.depth(); }
  const ModelConfig& config() const { return config_; }
  torch::Dtype dtype() const;
  torch::Device device() const;
  nn::KvCache new_cache() const;

  // Takes blocks out of the model in memory; the rest are renumbered, and so are their cache slots. Throws InputError as without_layers.
  void remove_blocks(const std::vector<int64_t>& indices);
  // Puts a block before the block that is now at `index` (depth() appends). Its config is recorded under raw["tessera"].
  void insert_block(int64_t index, Block block);

  // Puts q, k, v and gate, up weights next to each other; done by the loader. Call it again after weights were replaced or moved.
  void fuse(nn::Contents contents = nn::Contents::kept);

  torch::Tensor embed_tokens,
      embed_positions;  // model.embed_tokens.weight [V, D]; model.embed_positions.weight [max_positions, D] or undefined
  // Where embeddings come from when embed_tokens has no rows: ids [N] int64 -> [N, D] of the model's dtype on the CPU.
  std::function<torch::Tensor(const torch::Tensor& ids)> token_rows;

 private:
  void number_blocks();

  ModelConfig config_;
  std::vector<Block> blocks_;
  nn::Norm norm_{nullptr};                         // null when norms stand behind their branches
  torch::Tensor head_;                             // lm_head.weight [V, D]; undefined when tied
  torch::Tensor frequencies_, local_frequencies_;  // undefined where nothing rotates
  torch::Tensor slopes_;                           // ALiBi's [H]; undefined without
};
TORCH_MODULE(Transformer);

// Fills a fresh model as Hugging Face does: weights from N(0, config.init_std), gains neutral, biases 0. The same seed gives the same
// weights on every machine and for every number of threads.
void init_weights(Transformer& model, uint64_t seed);

}  // namespace tessera::lm
