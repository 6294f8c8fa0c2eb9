#include "tessera/tensor/model_file.h"

#include <vector>

#include "tessera/base/error.h"

namespace tessera::tensor {

namespace fs = std::filesystem;

fs::path model_file_of(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw InputError("{} does not exist; check the path", path.string());
  if (!fs::is_directory(path, error)) return path;
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.pth"}) {
    if (fs::exists(path / name, error)) return path / name;
  }
  if (fs::exists(path / "pytorch_model.bin.index.json", error)) {
    throw InputError("{} holds a pytorch_model.bin in shards, which is not read; save it as safetensors", path.string());
  }
  for (const char* extension : {".safetensors", ".gguf"}) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (entry.path().extension() == extension) found.push_back(entry.path());
    }
    if (found.size() == 1) return found[0];
    if (found.size() > 1) throw InputError("{} holds {} {} files; give the path of one", path.string(), found.size(), extension);
  }
  throw InputError("{} holds no model.safetensors, pytorch_model.bin or .gguf; give a model's folder", path.string());
}

}  // namespace tessera::tensor
