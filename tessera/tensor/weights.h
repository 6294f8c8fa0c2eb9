#pragma once
// The named tensors of a model, whatever the file: safetensors (one or sharded), GGUF, .pt/.pth.

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/tensor/dtype.h"
#include "tessera/tensor/gguf.h"

namespace tessera::tensor {

// An open model file or folder. Copies share it; loading is safe from several threads.
class Weights {
 public:
  // A folder (model.safetensors, else its sharded index, else pytorch_model.bin or .pth, else the only .safetensors or .gguf there), a
  // .safetensors, an .index.json, a .gguf, or a .pt/.pth/.ckpt/.bin. Of a .pt whose top level holds its tensors under "state_dict",
  // "model_state_dict" or "model", only those are taken, without that prefix. InputError when it is none of these or broken.
  static Weights open(const std::filesystem::path& path);

  const std::vector<TensorInfo>& tensors() const;
  bool has(std::string_view name) const;
  const TensorInfo& info(std::string_view name) const;  // InputError when there is none
  // The tensor on the CPU, contiguous, in the file's shape. Quantised and 16-bit data are decoded by all threads. When dtype is the file's
  // own the tensor may lie over the file's copy-on-write map, which it keeps alive: a change stays in memory, seen by loads of
  // the same tensor alone.
  torch::Tensor load(std::string_view name, at::ScalarType dtype) const;
  torch::Tensor load(std::string_view name) const;  // in the file's own type; quantised ones as float32
  // The tensor into `to`: dense, on the CPU, of its shape and any type, without a second copy in memory; the map's pages go back to the
  // system on the way, and with them what was changed in a tensor that load() laid over them. InputError for another shape.
  void load_into(std::string_view name, const torch::Tensor& to) const;
  // Rows of a matrix [R, C] by their numbers [N] int64: [N, C] of any floating type. Of a mapped file those rows alone are read, and its
  // pages go back to the system. InputError when it is no matrix or has no such row.
  torch::Tensor rows(std::string_view name, const torch::Tensor& numbers, at::ScalarType dtype) const;
  const GgufFile* gguf() const;                                // metadata, when the file is a GGUF; else null
  const std::map<std::string, std::string>& metadata() const;  // of safetensors; else empty
  const std::filesystem::path& path() const;

 private:
  class Source;
  class Safetensors;
  class Gguf;
  class Torch;
  explicit Weights(std::shared_ptr<const Source> source) : source_(std::move(source)) {}
  size_t index_of(std::string_view name) const;
  std::shared_ptr<const Source> source_;
};

// LibTorch's type for a plain type; InputError for those it has not. Quantised types give float32.
at::ScalarType scalar_type(Dtype dtype);
// And back; InputError for types that no file here holds.
Dtype dtype_of(at::ScalarType type);

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// Writes tensors of any device and strides: `path` ending in .safetensors is one file, else a folder (made if missing) as
// write_safetensors_folder fills it. Equal storages are written once for each name.
void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}},
                      uint64_t max_shard_bytes = uint64_t{5'000'000'000});

}  // namespace tessera::tensor
