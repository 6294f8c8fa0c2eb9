#pragma once
// The tiny models of tests/parity/lm.py with what Transformers computed from them.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tessera/lm/load.h"
#include "tessera/tensor/weights.h"
#include "tests/lm/golden_files.h"

namespace tessera::lm {

struct Golden {
  explicit Golden(const std::string& name, torch::Device device = torch::kCPU)
      : loaded(load_model(golden_folder(name).string(),
                          {.dtype = DtypeChoice::fp32, .device = device, .allow_missing = {}, .tokenizer = false})),
        values(tensor::Weights::open(golden_folder(name) / "golden.safetensors")),
        model(loaded.model) {}

  torch::Tensor operator[](const std::string& name) const { return values.load(name).clone(); }

  LoadedModel loaded;
  tensor::Weights values;
  Transformer& model;
};

// The largest difference, in units of the largest expected value.
inline double error_of_scale(const torch::Tensor& ours, const torch::Tensor& expected) {
  return ((ours - expected).abs().max() / expected.abs().max()).item<double>();
}

// A folder under the test's temporary place, gone when the test ends.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera_lm_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace tessera::lm
