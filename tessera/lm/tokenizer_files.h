#pragma once
// A tokenizer carried from one model layout to the other.

#include <filesystem>

#include "tessera/lm/config.h"

namespace tessera::tensor {
class GgufWriter;
}

namespace tessera::lm {

// tokenizer.json, tokenizer_config.json (roles, chat template) and generation_config.json of a GGUF's vocabulary, into `folder`.
void write_tokenizer_files(const std::filesystem::path& gguf, const Json& config, const std::filesystem::path& folder);

// The tokenizer of a model (folder or .gguf) as tokenizer.* metadata; a folder without tokenizer gives none. Throws InputError when GGUF
// has no name for the way the tokenizer splits text.
void write_gguf_tokenizer(const std::filesystem::path& source, const Json& config, tensor::GgufWriter& writer);

}  // namespace tessera::lm
