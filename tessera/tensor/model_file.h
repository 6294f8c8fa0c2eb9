#pragma once
// Which file of a folder holds a model's tensors.

#include <filesystem>

namespace tessera::tensor {

// `path` itself when it is a file. In a folder: model.safetensors, else model.safetensors.index.json, else pytorch_model.bin or .pth, else
// the only .safetensors there, else the only .gguf. InputError when the path does not exist or nothing fits.
std::filesystem::path model_file_of(const std::filesystem::path& path);

}  // namespace tessera::tensor
