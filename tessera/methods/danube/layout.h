#pragma once
// The public checkpoints of Danube and the layout of their tensors (arXiv 2401.16818, table 1; config.json of h2oai/h2o-danube-1.8b-* and
// h2o-danube2-1.8b-*). It is Mistral's layout, so it serves Llama and Mistral folders too.

#include <string>
#include <string_view>
#include <vector>

#include "tessera/lm/config.h"

namespace tessera::danube {

// config.json of "danube-1.8b-base", "-sft", "-chat" (window 4096, 16384 positions) and "danube2-1.8b-..." (no window, 8192 positions);
// with or without "h2o-" or "h2oai/h2o-" in front. Null for any other name.
lm::Json public_config(std::string_view name);

struct LayoutTensor {
  std::string name;  // "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
};

// The tensors of a checkpoint with this config, by name; lm_head is absent when it is tied to the embedding.
std::vector<LayoutTensor> layout_of(const lm::ModelConfig& config);

// How a folder's tensors (their headers alone) differ from that layout: one line each, "missing NAME [shape]", "unknown NAME [shape]",
// "NAME is [2, 2], expected [4, 2]"; empty when it fits.
std::vector<std::string> layout_differences(const lm::ModelConfig& config, const std::vector<LayoutTensor>& found);

// Bytes of keys and values for `tokens` tokens with 2-byte numbers; with a window at most its tokens are kept.
int64_t cache_bytes(const lm::ModelConfig& config, int64_t tokens);

}  // namespace tessera::danube
