#pragma once
// Grouped-query attention with rotary positions, as all decoder-only language models use it.
// B sequences, T new tokens, S keys (cached and new), H heads, K key heads (H = K * group), e head width, D = model width.

#include "tessera/nn/kv_cache.h"
#include "tessera/nn/linear.h"
#include "tessera/nn/norm.h"
#include "tessera/nn/rope.h"

namespace tessera::nn {

// Which keys a query may see.
struct AttentionMask {
  bool causal = false;          // query i sees the keys low[b, i] .. S - T + i
  torch::Tensor low = {};       // [B or 1, T] int32; undefined: all zero
  torch::Tensor slopes = {};    // with `causal`: ALiBi's, see MaskInputs
  torch::Tensor additive = {};  // [B or 1, 1 or H, T, S] in the dtype of q, -inf where not seen; undefined: every key is seen (or `causal`
                                // says which)
};

// ALiBi's slopes of each head, [H] float32 (Press, Smith and Lewis, arXiv 2108.12409, section 3): 2^(-8/n), 2^(-16/n) ... for n = H heads
// if H is a power of two. Else those of the power of two below, then every other one of twice as many heads.
torch::Tensor alibi_slopes(int64_t heads);

// What decides a mask. Token j of the T new ones has index `past + j`; keys are the last S indices.
struct MaskInputs {
  int64_t batch = 1, tokens = 1, past = 0;  // B, T, and tokens before the new ones
  int64_t keys = 1;                         // S
  int64_t window = 0;                       // a query sees itself and the window - 1 tokens before it; 0: all before it
  torch::Tensor real = {};                  // [B, past + T] bool, false for padding; undefined: no padding
  torch::Tensor documents = {};             // [B, T] int64, past == 0: tokens see only their own document; undefined: one document
  torch::Tensor slopes = {};  // [H] float32: a head's score falls by its slope for every (real) token between query and key; undefined: no
};

// A query always sees itself, so that no row is empty (padding's output is finite and meaningless). Throws InputError on wrong shapes.
AttentionMask attention_mask(const MaskInputs& inputs, torch::Dtype dtype, torch::Device device);

struct AttentionOptions {
  int64_t width = 0, heads = 0, kv_heads = 0, head_width = 0;  // D, H, K, e
  bool qkv_bias = false, out_bias = false;
  bool qk_norm = false;        // RMSNorm over each head's e values of q and k, before rotation (Gemma 3)
  NormOptions head_norm = {};  // eps and offset of those norms
  double scale = 0.0;          // what q.k is multiplied by; 0: 1 / sqrt(e)
};

// What one call of an attention layer gets from its pass. Pointers may be null: no rotation, no cache.
struct AttentionInputs {
  const RopeTable* rope = nullptr;
  const AttentionMask* mask = nullptr;  // never null in `forward`
  KvSlot* cache = nullptr;
};

class AttentionImpl : public torch::nn::Module {
 public:
  explicit AttentionImpl(const AttentionOptions& options);
  // x: [B, T, D] -> [B, T, D].
  torch::Tensor forward(const torch::Tensor& x, const AttentionInputs& inputs);
  // Computes k and v of x and appends them to the cache, nothing else: what a skipped layer does in ShortGPT's prefill-only mode.
  void store(const torch::Tensor& x, const AttentionInputs& inputs);
  // Puts q, k and v weights one behind another in memory, so that they run as one product.
  void fuse(Contents contents = Contents::kept);

  Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, o_proj{nullptr};
  Norm q_norm{nullptr}, k_norm{nullptr};  // null without qk_norm
  AttentionOptions options;
};
TORCH_MODULE(Attention);

// softmax(q k^T * scale + mask) v with q: [B, H, T, e], k, v: [B, K, S, e]. Returns [B, T, H * e].
torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, const AttentionMask& mask, double scale);

}  // namespace tessera::nn
