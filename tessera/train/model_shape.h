#pragma once
// Fresh language models: a few shapes by name, or a config.json.

#include <optional>

#include "tessera/lm/config.h"

namespace tessera::train {

struct ModelShape {
  std::string name, help;
  int64_t width, layers, heads, kv_heads, ffn;
};
// tiny, small, medium, base: Llama's architecture with a tied head.
const std::vector<ModelShape>& model_shapes();

struct FreshOptions {
  int64_t vocab = 0;
  int64_t positions = 1024;         // context length
  std::optional<int64_t> eos = {};  // id of the token that closes a document
};

// The config of a fresh model from a shape's name or the path of a config.json (or of a folder that has one); its vocabulary and end token
// become those of `options`, as do the positions of a named shape. Throws InputError for an unknown name, listing them.
lm::ModelConfig fresh_model_config(const std::string& given, const FreshOptions& options);

}  // namespace tessera::train
