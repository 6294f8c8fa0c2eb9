#pragma once
// Writing a language model as one .gguf file, and converting between the two layouts.

#include <filesystem>
#include <string>

#include "tessera/lm/model.h"

namespace tessera::lm {

struct ConvertOptions {
  std::string type = {};  // GGUF: F32 F16 BF16 Q8_0 Q4_0 Q4_1 (matrices; norms and biases stay F32). Folder: F32 or BF16. Empty: F32 from
                          // fp32 models, else BF16
  int64_t shard_bytes = 5'000'000'000;
};

// `in`: a model as run::find_model takes it. `out`: ends in .gguf, else a folder; must not exist (a folder may be empty). Written whole or
// not at all. Throws InputError for an unknown type and for rows that a quantised type cannot hold (width no multiple of 32).
void convert_model(const std::string& in, const std::filesystem::path& out, const ConvertOptions& options = {});

// Writes the weights and hyper-parameters under the names llama.cpp uses; with `source`, its tokenizer too.
void export_gguf(const Transformer& model, const std::filesystem::path& source, const std::filesystem::path& out, const std::string& type);

}  // namespace tessera::lm
