#include "tessera/nn/mamba.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>

#include "tessera/base/error.h"
#include "tessera/nn/block_list.h"
#include "tessera/nn/mamba_scan.h"

namespace tessera::nn {
namespace {

// The value of `key`, or `fallback` where it is absent or null.
template <class T>
T mamba_value(const nlohmann::ordered_json& config, const char* key, T fallback) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw InputError("config.json: {} is {}, not what it should be; see the model's original config.json", key,
                     tessera::quoted(found->dump()));
  }
}

int64_t mamba_size(const nlohmann::ordered_json& config, const char* key, int64_t fallback) {
  const auto value = mamba_value<int64_t>(config, key, fallback);
  if (value < 1 || value > (int64_t{1} << 32)) {
    throw InputError("config.json: {} is {} or missing, a Mamba model needs a whole number from 1; see its original config.json", key,
                     value);
  }
  return value;
}

torch::Tensor& fresh_parameter(torch::nn::Module& module, const char* name, torch::IntArrayRef shape) {
  return module.register_parameter(name, torch::empty(shape));
}

NormOptions mamba_norm(const MambaConfig& config) {
  return {.kind = NormKind::rms, .width = config.width, .eps = config.norm_eps, .offset = 0.0};
}

}  // namespace

MambaConfig parse_mamba_config(const nlohmann::ordered_json& config) {
  MambaConfig result;
  result.vocab = mamba_size(config, "vocab_size", 0);
  result.width = mamba_size(config, "hidden_size", 0);
  result.depth = mamba_size(config, "num_hidden_layers", mamba_value<int64_t>(config, "n_layer", 0));
  result.channels = mamba_size(config, "intermediate_size", mamba_size(config, "expand", 2) * result.width);
  result.states = mamba_size(config, "state_size", 16);
  result.convolution = mamba_size(config, "conv_kernel", 4);
  const auto rank = config.find("time_step_rank");
  const int64_t automatic = (result.width + 15) / 16;
  result.rank = rank != config.end() && rank->is_number() ? mamba_size(config, "time_step_rank", 0) : automatic;
  result.norm_eps = mamba_value(config, "layer_norm_epsilon", 1e-5);
  result.bias = mamba_value(config, "use_bias", false);
  result.conv_bias = mamba_value(config, "use_conv_bias", true);
  return result;
}

MambaMixerImpl::MambaMixerImpl(const MambaConfig& config)
    : in_proj(register_module("in_proj", Linear(config.width, 2 * config.channels, config.bias))),
      x_proj(register_module("x_proj", Linear(config.channels, config.rank + 2 * config.states, false))),
      dt_proj(register_module("dt_proj", Linear(config.rank, config.channels, true))),
      out_proj(register_module("out_proj", Linear(config.channels, config.width, config.bias))),
      config_(config) {
  auto conv1d = register_module("conv1d", std::make_shared<torch::nn::Module>());
  conv_weight = fresh_parameter(*conv1d, "weight", {config.channels, 1, config.convolution});
  if (config.conv_bias) conv_bias = fresh_parameter(*conv1d, "bias", {config.channels});
  a_log = fresh_parameter(*this, "A_log", {config.channels, config.states});
  d = fresh_parameter(*this, "D", {config.channels});
}

torch::Tensor MambaMixerImpl::forward(const torch::Tensor& x, MambaState* state) {
  const auto halves = in_proj(x).chunk(2, -1);  // [B, T, E] each
  auto hidden = halves[0];
  const int64_t before = config_.convolution - 1;
  const auto past = state != nullptr && state->convolution.defined()
                        ? state->convolution
                        : torch::zeros({x.size(0), before, config_.channels}, hidden.options());
  const auto padded = torch::cat({past, hidden}, 1);
  if (state != nullptr) state->convolution = padded.slice(1, padded.size(1) - before).detach().clone();
  hidden = torch::silu(
      torch::conv1d(padded.transpose(1, 2), conv_weight, conv_bias, {1}, torch::IntArrayRef({0}), {1}, config_.channels).transpose(1, 2));
  const auto maps = x_proj(hidden).split_with_sizes({config_.rank, config_.states, config_.states}, -1);
  const auto dt = torch::softplus(dt_proj(maps[0]).to(torch::kFloat));
  const auto scanned = selective_scan({.u = hidden,
                                       .dt = dt,
                                       .a = -torch::exp(a_log.to(torch::kFloat)),
                                       .b = maps[1],
                                       .c = maps[2],
                                       .d = d,
                                       .state = state != nullptr ? state->scan : torch::Tensor()});
  if (state != nullptr) state->scan = scanned.state;
  return out_proj(scanned.y.to(x.scalar_type()) * torch::silu(halves[1]));
}

void MambaMixerImpl::init(torch::Generator& random, double std) {
  torch::NoGradGuard no_gradient;
  for (auto& linear : {in_proj, x_proj, out_proj}) {
    linear->weight.normal_(0, std, random);
    if (linear->bias.defined()) linear->bias.zero_();
  }
  const double reach = 1 / std::sqrt(static_cast<double>(config_.rank)), taps = 1 / std::sqrt(static_cast<double>(config_.convolution));
  dt_proj->weight.uniform_(-reach, reach, random);
  const auto dt = torch::empty({config_.channels}).uniform_(std::log(0.001), std::log(0.1), random).exp().clamp_min(1e-4);
  dt_proj->bias.copy_(dt + torch::log(-torch::expm1(-dt)));  // softplus of it is dt
  conv_weight.uniform_(-taps, taps, random);
  if (conv_bias.defined()) conv_bias.zero_();
  a_log.copy_(torch::arange(1, config_.states + 1, torch::kFloat).log().expand_as(a_log));
  d.fill_(1.0);
}

MambaBlockImpl::MambaBlockImpl(const MambaConfig& config)
    : norm(register_module("norm", Norm(mamba_norm(config)))), mixer(register_module("mixer", MambaMixer(config))) {}

torch::Tensor MambaBlockImpl::forward(const torch::Tensor& x, MambaState* state) { return x + mixer(norm(x), state); }

MambaImpl::MambaImpl(const MambaConfig& config)
    : config_(config), backbone_(register_module("backbone", std::make_shared<torch::nn::Module>())) {
  auto embeddings = backbone_->register_module("embeddings", std::make_shared<torch::nn::Module>());
  embedding_ = fresh_parameter(*embeddings, "weight", {config.vocab, config.width});
  for (int64_t i = 0; i < config.depth; ++i) blocks_.emplace_back(config);
  norm_f_ = backbone_->register_module("norm_f", Norm(mamba_norm(config)));
  number_blocks();
}

void MambaImpl::number_blocks() {
  if (layers_) backbone_->unregister_module("layers");
  layers_ = backbone_->register_module("layers", std::make_shared<torch::nn::Module>());
  for (size_t i = 0; i < blocks_.size(); ++i) layers_->register_module(std::to_string(i), blocks_[i]);
  config_.depth = static_cast<int64_t>(blocks_.size());
}

torch::Tensor MambaImpl::embed(const torch::Tensor& ids) const { return torch::embedding(embedding_, ids); }

MambaBlock MambaImpl::block(int64_t index) const { return blocks_.at(static_cast<size_t>(index)); }

torch::Tensor MambaImpl::final_norm(const torch::Tensor& x) { return norm_f_(x); }

torch::Tensor MambaImpl::logits(const torch::Tensor& normed) const { return torch::matmul(normed, embedding_.t()); }

torch::Tensor MambaImpl::forward(const torch::Tensor& ids, std::vector<MambaState>* states) {
  return logits(final_norm(through_blocks(embed(ids), blocks_, states)));
}

void MambaImpl::remove_blocks(const std::vector<int64_t>& indices) {
  blocks_ = without_blocks(blocks_, indices);
  number_blocks();
}

void MambaImpl::init(uint64_t seed, double std) {
  torch::NoGradGuard no_gradient;
  auto random = at::detail::createCPUGenerator(seed);
  embedding_.normal_(0, std, random);
  norm_f_->weight.fill_(1.0);
  for (auto& block : blocks_) {
    block->norm->weight.fill_(1.0);
    block->mixer->init(random, std);
  }
}

}  // namespace tessera::nn
