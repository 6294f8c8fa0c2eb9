#include "tessera/base/error.h"
#include "tessera/lm/model.h"

namespace tessera::lm {

Skip Skip::blocks(const std::vector<int64_t>& indices, bool store_kv) {
  Skip skip{.attention = {}, .ffn = {}, .store_kv = store_kv};
  for (const int64_t index : indices) {
    if (index < 0) throw InputError("a block to skip is {}; expected 0 or more", index);
    if (index >= static_cast<int64_t>(skip.attention.size())) skip.attention.resize(index + 1);
    skip.attention[index] = true;
  }
  skip.ffn = skip.attention;
  return skip;
}

BlockImpl::BlockImpl(const ModelConfig& config, const LayerConfig& given) : layer(given), placement_(config.placement) {
  const nn::NormOptions norm{.kind = config.norm, .width = config.width, .eps = config.norm_eps, .offset = config.norm_offset};
  if (layer.attention) {
    input_layernorm = register_module("input_layernorm", nn::Norm(norm));
    self_attn = register_module("self_attn", nn::Attention(nn::AttentionOptions{.width = config.width,
                                                                                .heads = config.heads,
                                                                                .kv_heads = config.kv_heads,
                                                                                .head_width = config.head_width,
                                                                                .qkv_bias = config.qkv_bias,
                                                                                .out_bias = config.out_bias,
                                                                                .qk_norm = config.qk_norm,
                                                                                .head_norm = norm,
                                                                                .scale = config.attention_scale}));
  }
  const bool sandwich = placement_ == NormPlacement::sandwich;
  if (sandwich ? layer.attention : layer.ffn) post_attention_layernorm = register_module("post_attention_layernorm", nn::Norm(norm));
  if (layer.ffn) {
    if (sandwich) pre_feedforward_layernorm = register_module("pre_feedforward_layernorm", nn::Norm(norm));
    mlp = register_module("mlp", nn::Ffn(nn::FfnOptions{.width = config.width,
                                                        .hidden = layer.ffn_width,
                                                        .activation = config.activation,
                                                        .gated = config.gated,
                                                        .bias = config.ffn_bias}));
    if (sandwich) post_feedforward_layernorm = register_module("post_feedforward_layernorm", nn::Norm(norm));
  }
}

nn::AttentionInputs BlockImpl::inputs(Pass& pass, int64_t slot) const {
  const auto& rope = layer.sliding ? pass.local_rope : pass.rope;
  return {.rope = rope.cos.defined() ? &rope : nullptr,
          .mask = layer.sliding ? &pass.local_mask : &pass.mask,
          .cache = pass.cache != nullptr ? &pass.cache->slots.at(slot) : nullptr};
}

// What the attention branch adds to the stream (with post placement: before the norm).
torch::Tensor BlockImpl::attention_branch(const torch::Tensor& x, Pass& pass, int64_t slot) {
  if (placement_ == NormPlacement::post) return self_attn(x, inputs(pass, slot));
  const auto out = self_attn(input_layernorm(x), inputs(pass, slot));
  return placement_ == NormPlacement::sandwich ? post_attention_layernorm(out) : out;
}

torch::Tensor BlockImpl::after_attention(const torch::Tensor& x, Pass& pass, int64_t slot) {
  if (!self_attn) return x;
  const auto stream = x + attention_branch(x, pass, slot);
  return placement_ == NormPlacement::post ? input_layernorm(stream) : stream;
}

torch::Tensor BlockImpl::after_ffn(const torch::Tensor& x) {
  if (!mlp) return x;
  switch (placement_) {
    case NormPlacement::pre:
      return x + mlp(post_attention_layernorm(x));
    case NormPlacement::post:
      return post_attention_layernorm(x + mlp(x));
    case NormPlacement::sandwich:
      break;
  }
  return x + post_feedforward_layernorm(mlp(pre_feedforward_layernorm(x)));
}

void BlockImpl::store_kv(const torch::Tensor& x, Pass& pass, int64_t slot) {
  if (self_attn) self_attn->store(placement_ == NormPlacement::post ? x : input_layernorm(x), inputs(pass, slot));
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x, Pass& pass, int64_t slot) {
  const bool attends = self_attn && !pass.skip.skips_attention(slot), feeds = mlp && !pass.skip.skips_ffn(slot);
  if (!attends && pass.skip.store_kv && pass.cache != nullptr) store_kv(x, pass, slot);
  if (!attends || !feeds || placement_ == NormPlacement::post || torch::GradMode::is_enabled()) {
    const auto stream = attends ? after_attention(x, pass, slot) : x;
    return feeds ? after_ffn(stream) : stream;
  }
  // Both branches, no gradient: the sum of x and the attention branch takes the branch's memory, and one pass adds and norms.
  auto& norm = placement_ == NormPlacement::pre ? post_attention_layernorm : pre_feedforward_layernorm;
  auto [stream, normed] = norm->add_then_norm(attention_branch(x, pass, slot), x);
  const auto fed = mlp(normed);
  return stream.add_(placement_ == NormPlacement::pre ? fed : post_feedforward_layernorm(fed));
}

}  // namespace tessera::lm
