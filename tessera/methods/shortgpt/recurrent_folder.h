#pragma once
// Mamba and RWKV checkpoints in Hugging Face layout (model_type "mamba" or "rwkv"): read, and written back with blocks taken out.

#include <filesystem>
#include <vector>

#include "tessera/nn/mamba.h"
#include "tessera/nn/rwkv.h"

namespace tessera::shortgpt {

enum class Recurrent { none, mamba, rwkv };
// What a folder's config.json says its model_type is; `none` also for what is no such folder.
Recurrent recurrent_kind(const std::filesystem::path& path);

// Weights as float32. Throws InputError that names a tensor which is missing, left over or of another shape.
nn::Mamba load_mamba(const std::filesystem::path& folder);
nn::Rwkv load_rwkv(const std::filesystem::path& folder);

// Writes `folder` again as `out` without the blocks `removed`: tensors renumbered and otherwise copied byte for byte (RWKV's pre_ln stays
// with the first block), the config's depth and tessera.removed_layers, tokenizer files. Throws InputError as remove_blocks of the model,
// and when `out` exists and is not empty.
void prune_recurrent(const std::filesystem::path& folder, const std::vector<int64_t>& removed, const std::filesystem::path& out);

}  // namespace tessera::shortgpt
