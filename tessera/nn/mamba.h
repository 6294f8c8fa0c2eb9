#pragma once
// Mamba, version 1 (Gu and Dao, arXiv 2312.00752), in the layout of Hugging Face checkpoints: backbone.embeddings.weight,
// backbone.layers.{i}.norm.weight, backbone.layers.{i}.mixer.{in_proj,conv1d,x_proj,dt_proj,out_proj,A_log,D}, backbone.norm_f.weight.
// B sequences, T tokens, D model width, E = expand * D channels, N states a channel, K convolution width, R rank of the step size.

#include <torch/torch.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "tessera/nn/linear.h"
#include "tessera/nn/norm.h"

namespace tessera::nn {

struct MambaConfig {
  int64_t vocab = 0, width = 0, depth = 0;
  int64_t channels = 0;     // E
  int64_t states = 16;      // N
  int64_t convolution = 4;  // K
  int64_t rank = 0;         // R
  double norm_eps = 1e-5;
  bool bias = false;  // of in_proj and out_proj
  bool conv_bias = true;
};

// Reads a config.json of model_type "mamba". Throws InputError naming the key for a missing or wrong one.
MambaConfig parse_mamba_config(const nlohmann::ordered_json& config);

// What a block hands to its next token.
struct MambaState {
  torch::Tensor convolution;  // [B, K - 1, E] the last inputs of the convolution; undefined before the first token
  torch::Tensor scan;         // [B, E, N]
};

class MambaMixerImpl : public torch::nn::Module {
 public:
  explicit MambaMixerImpl(const MambaConfig& config);
  // x: [B, T, D] -> [B, T, D]. With `state`, T >= 1 more tokens of sequences begun before; it is moved past them.
  torch::Tensor forward(const torch::Tensor& x, MambaState* state = nullptr);
  // A_log = log(1..N), D = 1, step sizes log-uniform in [0.001, 0.1]; the other weights normal with deviation `std`.
  void init(torch::Generator& random, double std);

  Linear in_proj{nullptr}, x_proj{nullptr}, dt_proj{nullptr}, out_proj{nullptr};
  torch::Tensor conv_weight, conv_bias;  // conv1d.weight [E, 1, K], conv1d.bias [E] (undefined without)
  torch::Tensor a_log, d;                // A_log [E, N], D [E]

 private:
  MambaConfig config_;
};
TORCH_MODULE(MambaMixer);

// x + mixer(norm(x)): the unit that Block Influence scores and pruning removes.
class MambaBlockImpl : public torch::nn::Module {
 public:
  explicit MambaBlockImpl(const MambaConfig& config);
  torch::Tensor forward(const torch::Tensor& x, MambaState* state = nullptr);  // [B, T, D] -> [B, T, D]

  Norm norm{nullptr};
  MambaMixer mixer{nullptr};
};
TORCH_MODULE(MambaBlock);

// The language model; the head is the embedding. Parameters are allocated and left unfilled: load them or call init.
class MambaImpl : public torch::nn::Module {
 public:
  explicit MambaImpl(const MambaConfig& config);
  // ids: [B, T] int64 -> logits [B, T, V]. `states`: one a block, in block order; an empty vector is filled at the first call.
  torch::Tensor forward(const torch::Tensor& ids, std::vector<MambaState>* states = nullptr);

  torch::Tensor embed(const torch::Tensor& ids) const;      // [B, T] -> [B, T, D]
  MambaBlock block(int64_t index) const;                    // 0 <= index < depth()
  torch::Tensor final_norm(const torch::Tensor& x);         // [..., D]
  torch::Tensor logits(const torch::Tensor& normed) const;  // [..., D] -> [..., V]
  int64_t depth() const { return config_.depth; }
  const MambaConfig& config() const { return config_; }

  // Takes blocks out; the rest are renumbered, and with them the states of later calls. Throws InputError on an index out of range or
  // repeated, and when no block would be left.
  void remove_blocks(const std::vector<int64_t>& indices);
  // Fresh weights: the same seed gives the same ones for every number of threads.
  void init(uint64_t seed, double std = 0.02);

 private:
  void number_blocks();

  MambaConfig config_;
  torch::Tensor embedding_;
  std::shared_ptr<torch::nn::Module> backbone_, layers_;
  std::vector<MambaBlock> blocks_;
  Norm norm_f_{nullptr};
};
TORCH_MODULE(Mamba);

}  // namespace tessera::nn
