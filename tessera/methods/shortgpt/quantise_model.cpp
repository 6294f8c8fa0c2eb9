#include "tessera/methods/shortgpt/quantise_model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tessera/methods/shortgpt/score.h"

namespace tessera::shortgpt {
namespace {

// The matrices of a block and which of its four inputs each reads.
struct BlockMatrix {
  nn::Linear linear;
  torch::Tensor BlockInputs::*input;
};

std::vector<BlockMatrix> matrices_of(const lm::Block& block) {
  std::vector<BlockMatrix> found;
  const auto add = [&](const nn::Linear& linear, torch::Tensor BlockInputs::*input) {
    if (linear) found.push_back({linear, input});
  };
  if (block->self_attn) {
    for (const auto& linear : {block->self_attn->q_proj, block->self_attn->k_proj, block->self_attn->v_proj}) {
      add(linear, &BlockInputs::attention);
    }
    add(block->self_attn->o_proj, &BlockInputs::attended);
  }
  if (block->mlp) {
    add(block->mlp->gate_proj, &BlockInputs::ffn);
    add(block->mlp->up_proj, &BlockInputs::ffn);
    add(block->mlp->down_proj, &BlockInputs::inner);
  }
  return found;
}

constexpr std::array kBlockInputs = {&BlockInputs::attention, &BlockInputs::attended, &BlockInputs::ffn, &BlockInputs::inner};

int64_t store(nn::Linear linear, const QuantisedMatrix& quantised) {
  linear->weight.copy_(quantised.dequantised());
  return quantised.bytes();
}

}  // namespace

int64_t quantise_nearest(lm::Transformer& model, const QuantOptions& options) {
  torch::NoGradGuard no_gradient;
  int64_t bytes = 0;
  for (int64_t i = 0; i < model->depth(); ++i) {
    for (auto& matrix : matrices_of(model->block(i))) bytes += store(matrix.linear, round_to_nearest(matrix.linear->weight, options));
  }
  return bytes;
}

BlockInputs block_inputs(const lm::ModelConfig& config, lm::Block block, lm::Pass& pass, int64_t slot, const torch::Tensor& x) {
  torch::NoGradGuard no_gradient;
  BlockInputs in;
  const bool post = config.placement == lm::NormPlacement::post;
  if (block->self_attn) {
    in.attention = post ? x : block->input_layernorm(x);
    const auto& rope = block->layer.sliding ? pass.local_rope : pass.rope;
    const nn::AttentionInputs attention{
        .rope = rope.cos.defined() ? &rope : nullptr, .mask = block->layer.sliding ? &pass.local_mask : &pass.mask, .cache = nullptr};
    // With an identity for its output matrix the layer returns what that matrix reads.
    auto output = block->self_attn->o_proj;
    const auto weight = output->weight, bias = output->bias;
    output->weight = torch::eye(weight.size(1), weight.options());
    output->bias = torch::Tensor();
    in.attended = block->self_attn->forward(in.attention, attention);
    output->weight = weight;
    output->bias = bias;
  }
  const auto middle = block->after_attention(x, pass, slot);
  if (block->mlp) {
    if (post) {
      in.ffn = middle;
    } else {
      in.ffn = config.placement == lm::NormPlacement::sandwich ? block->pre_feedforward_layernorm(middle)
                                                               : block->post_attention_layernorm(middle);
    }
    const auto up = block->mlp->up_proj(in.ffn);
    const auto act = block->mlp->options.activation;
    in.inner = block->mlp->options.gated ? nn::activate(block->mlp->gate_proj(in.ffn), act) * up : nn::activate(up, act);
  }
  in.output = block->after_ffn(middle);
  return in;
}

int64_t quantise_gptq(lm::Transformer& model, const Windows& windows, const QuantOptions& options, const GptqCalibration& calibration) {
  torch::NoGradGuard no_gradient;
  std::vector<lm::Pass> passes;
  std::vector<torch::Tensor> streams;
  for (const auto& ids : batches_of(windows, calibration.batch)) {
    passes.push_back(model->start(ids));
    streams.push_back(model->embed(ids, passes.back()));
  }
  int64_t bytes = 0;
  for (int64_t i = 0; i < model->depth(); ++i) {
    const auto block = model->block(i);
    std::array<HessianSum, kBlockInputs.size()> hessians;
    for (size_t b = 0; b < streams.size(); ++b) {
      const auto in = block_inputs(model->config(), block, passes[b], i, streams[b]);
      for (size_t h = 0; h < hessians.size(); ++h) {
        if ((in.*kBlockInputs[h]).defined()) hessians[h].add(in.*kBlockInputs[h]);
      }
      if (in.attention.defined() && calibration.first_token > 1) {
        hessians[0].add(in.attention.select(1, 0) * std::sqrt(calibration.first_token - 1));  // [B, D]
      }
    }
    for (auto& matrix : matrices_of(block)) {
      const auto which = static_cast<size_t>(std::find(kBlockInputs.begin(), kBlockInputs.end(), matrix.input) - kBlockInputs.begin());
      bytes += store(matrix.linear, gptq(matrix.linear->weight, hessians[which].value(), options));
    }
    for (size_t b = 0; b < streams.size(); ++b) streams[b] = model->block(i)->forward(streams[b], passes[b], i);
  }
  return bytes;
}

}  // namespace tessera::shortgpt
