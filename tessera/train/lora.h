#pragma once
// LoRA (Hu et al., arXiv 2106.09685): frozen weights W, trained low-rank sums W + (alpha / r) B A. Adapters hang on the linear layers of
// any model; on disk they have PEFT's layout.

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tessera/nn/linear.h"
#include "tessera/train/optimizer.h"

namespace tessera::train {

struct LoraOptions {
  int64_t rank = 8;                       // r, 1 and up
  double alpha = 16.0;                    // B A is multiplied by alpha / r
  std::vector<std::string> targets = {};  // the last words of the layers' paths, "q_proj"; empty: every linear layer (a head is none)
  uint64_t seed = 0;
};

// Hangs a new adapter on every target layer, A from U(-1/sqrt(in), 1/sqrt(in)) (PEFT's kaiming_uniform with a = sqrt(5)) and B = 0, so that
// the model is unchanged at first; all parameters of the model stop requiring gradients, the adapters' do. Adapters are float32 whatever
// the model. The draw depends on seed and layer path alone. Throws InputError when there are adapters already, when a target names no layer
// (listing the names there are), and for a rank beyond a layer's smaller side.
void add_lora(torch::nn::Module& model, const LoraOptions& options);

// The adapters' tensors, named as PEFT does below its prefix: "model.layers.0.self_attn.q_proj.lora_A.weight" [r, in], ".lora_B.weight"
// [out, r]; in the order of the model's layers; empty without adapters.
std::vector<Parameter> lora_parameters(torch::nn::Module& model, double weight_decay = 0.0);

// Paths of the layers that have adapters: "model.layers.0.self_attn.q_proj".
std::set<std::string> lora_layers(torch::nn::Module& model);

// Adds every adapter to its weight, in float32 whatever the weight's dtype, and takes the adapters off.
void merge_lora(torch::nn::Module& model);
// Takes the adapters off without adding them.
void remove_lora(torch::nn::Module& model);

// While it lives the adapters are off: the model is its own reference policy (DPO), with no second copy in memory.
class LoraOff {
 public:
  explicit LoraOff(torch::nn::Module& model);
  ~LoraOff();
  LoraOff(const LoraOff&) = delete;
  LoraOff& operator=(const LoraOff&) = delete;

 private:
  std::vector<nn::Linear> layers_;
};

// Writes adapter_config.json and adapter_model.safetensors (float32) into the existing `folder`; `base` is what the config calls the model
// below. Throws InputError when the model has no adapters.
void save_lora(torch::nn::Module& model, const std::filesystem::path& folder, const std::string& base);
// Hangs the adapters of a PEFT folder on the model, frozen. Throws InputError naming what is missing, of another shape or not supported (a
// bias, a per-layer rank, DoRA).
void load_lora(torch::nn::Module& model, const std::filesystem::path& folder);
// Fills the adapters that the model has with the values of a PEFT folder, in the memory they have. Throws InputError when the two are not
// of the same layers and shapes.
void read_lora_in_place(torch::nn::Module& model, const std::filesystem::path& folder);

}  // namespace tessera::train
