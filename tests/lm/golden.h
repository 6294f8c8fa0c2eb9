#pragma once
// The tiny models of tests/parity/lm.py with what Transformers computed from them.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tessera/lm/load.h"
#include "tessera/tensor/weights.h"
#include "tests/lm/golden_files.h"
#include "tests/scratch_folder.h"

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

}  // namespace tessera::lm
