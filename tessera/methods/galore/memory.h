#pragma once
// What training a model takes, to the byte and without allocation: from shapes alone (GaLore, arXiv 2403.03507, section 4 and table 1).

#include <filesystem>
#include <string>
#include <vector>

#include "tessera/train/plan.h"

namespace tessera::galore {

struct ModelTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool matrix = false;  // a layer's linear weight: what GaLore projects

  int64_t elements() const { return c10::multiply_integers(shape); }
};

// The parameters of a model with this config, named as its checkpoint.
std::vector<ModelTensor> tensors_of(const lm::ModelConfig& config);
// Those of a .safetensors or .gguf file or a model folder without config, from its header.
std::vector<ModelTensor> tensors_in(const std::filesystem::path& file);

struct MemoryOptions {
  train::OptimOptions optim;
  int64_t element = 4;           // bytes of a weight and of a gradient
  bool masters = false;          // float32 copies beside 2-byte weights
  bool per_layer = false;        // one gradient at a time
  train::StepMemory model = {};  // its activations, head and tied, as train::plan_training says; 0 where no config says them
};

struct MemoryPlan : train::StepMemory {
  int64_t elements = 0, matrix_elements = 0;               // parameters
  int64_t projector_elements = 0, moment_elements = 0;     // of the optimizer; moments without scales
  int64_t weights = 0, masters = 0, largest_gradient = 0;  // bytes
  int64_t projectors = 0, moments = 0;                     // bytes of state, counters and scales included; together the whole state
  int64_t state() const { return projectors + moments; }
  int64_t bytes() const { return weights + masters + state() + peak(); }
};

// Parameters of these shapes on the meta device.
std::vector<train::Parameter> shapes_of(const std::vector<ModelTensor>& tensors, torch::Dtype dtype);

// Throws InputError as make_optimizer.
MemoryPlan memory_plan(const std::vector<ModelTensor>& tensors, const MemoryOptions& options);

// The largest rank whose plan takes at most `budget` bytes; 0 when none does.
int64_t largest_rank(const std::vector<ModelTensor>& tensors, MemoryOptions options, int64_t budget);

}  // namespace tessera::galore
