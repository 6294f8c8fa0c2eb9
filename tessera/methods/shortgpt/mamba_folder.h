#pragma once
// Mamba checkpoints in Hugging Face layout (model_type "mamba"): read, and written back with blocks taken out.

#include <filesystem>
#include <vector>

#include "tessera/nn/mamba.h"

namespace tessera::shortgpt {

// True when `path` is a folder whose config.json says model_type "mamba".
bool is_mamba_folder(const std::filesystem::path& path);

// Weights as float32. Throws InputError that lists tensors which are missing, left over or of another shape.
nn::Mamba load_mamba(const std::filesystem::path& folder);

// Writes `folder` again as `out` without the blocks `removed`: tensors renumbered and otherwise copied byte for byte, the config's depth
// and tessera.removed_layers, tokenizer files. Throws InputError as Mamba::remove_blocks, and when `out` exists and is not empty.
void prune_mamba(const std::filesystem::path& folder, const std::vector<int64_t>& removed, const std::filesystem::path& out);

}  // namespace tessera::shortgpt
