#pragma once
// Quantising the matrices of a Transformer's blocks in place: the values become those of int4 codes, computed with as floating point.
// Embeddings, norms, biases and the head keep their precision, as in GPTQ's own code.

#include "tessera/lm/model.h"
#include "tessera/methods/shortgpt/layered.h"
#include "tessera/methods/shortgpt/quantise.h"

namespace tessera::shortgpt {

// Each returns the bytes of the packed matrices.
int64_t quantise_nearest(lm::Transformer& model, const QuantOptions& options = {});

struct GptqCalibration {
  int64_t batch = 4;  // windows a pass
  // How often a window's first token counts in the Hessian of q, k and v, >= 1; 1 is GPTQ. Every later token attends to the first, so that
  // an error in its value is in all of them, while it is one of many in the Hessian.
  double first_token = 1;
};

// Block after block on calibration windows: the Hessians of a block come from inputs that the blocks before, already quantised, have made.
int64_t quantise_gptq(lm::Transformer& model, const Windows& windows, const QuantOptions& options = {},
                      const GptqCalibration& calibration = {});

// What enters the matrices of a block for the stream x [B, T, D]: q, k, v share `attention`; o_proj gets `attended`; gate and up share
// `ffn`; down_proj gets `inner`. Undefined where the branch is absent.
struct BlockInputs {
  torch::Tensor attention, attended, ffn, inner, output;  // output: the stream after the block
};
BlockInputs block_inputs(const lm::ModelConfig& config, lm::Block block, lm::Pass& pass, int64_t slot, const torch::Tensor& x);

}  // namespace tessera::shortgpt
