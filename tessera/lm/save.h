#pragma once
// Writing a model as a folder that Transformers loads unchanged.

#include <filesystem>
#include <optional>

#include "tessera/lm/model.h"

namespace tessera::lm {

struct SaveOptions {
  std::filesystem::path source = {};       // the model's folder or .gguf: tokenizer, chat template, generation settings come from there;
                                           // empty: weights and config only
  std::optional<torch::Dtype> dtype = {};  // of the tensors; unset: the model's own
  int64_t shard_bytes = 5'000'000'000;     // largest size of one safetensors file
};

// Writes config.json, model.safetensors (or shards and their index), generation_config.json and tokenizer files into `folder`, through a
// temporary folder beside it that is renamed at the end. Throws InputError when `folder` exists and is not empty.
void save_model(const Transformer& model, const std::filesystem::path& folder, const SaveOptions& options = {});

// Tokenizer, chat template and generation settings of a model (its folder or .gguf; `config` is its config.json) into an existing folder.
void copy_tokenizer_files(const std::filesystem::path& source, const Json& config, const std::filesystem::path& folder);

}  // namespace tessera::lm
