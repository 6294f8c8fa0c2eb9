#include "tessera/nn/rwkv.h"

#include "tessera/base/error.h"
#include "tessera/kernels/linear.h"
#include "tessera/nn/block_list.h"

namespace tessera::nn {
namespace {

// The whole number under `key`; `fallback` where it is absent or null, unless that is 0: then it must be there.
int64_t rwkv_size(const nlohmann::ordered_json& config, const char* key, int64_t fallback) {
  const auto found = config.find(key);
  const bool absent = found == config.end() || found->is_null();
  if (absent && fallback > 0) return fallback;
  if (absent || !found->is_number_integer() || found->get<int64_t>() < 1 || found->get<int64_t>() > (int64_t{1} << 32)) {
    throw InputError("config.json: {} is {}, an RWKV model needs a whole number from 1; see its original config.json", key,
                     absent ? "missing" : tessera::quoted(found->dump()));
  }
  return found->get<int64_t>();
}

torch::Tensor& rwkv_parameter(torch::nn::Module& module, const char* name, torch::IntArrayRef shape) {
  return module.register_parameter(name, torch::empty(shape));
}

NormOptions rwkv_norm(const RwkvConfig& config, double eps) {
  return {.kind = NormKind::layer, .width = config.width, .eps = eps, .offset = 0.0};
}

// x one token later: the token before each, zeros or `last` before the first. Moves `last` to the last token of x.
torch::Tensor shifted(const torch::Tensor& x, torch::Tensor* last) {
  const bool begun = last != nullptr && last->defined();
  const auto before = begun ? last->unsqueeze(1) : torch::zeros({x.size(0), 1, x.size(2)}, x.options());
  auto result = torch::cat({before, x.slice(1, 0, x.size(1) - 1)}, 1);
  if (last != nullptr) *last = x.select(1, x.size(1) - 1).detach().clone();
  return result;
}

torch::Tensor mixed(const torch::Tensor& x, const torch::Tensor& before, const torch::Tensor& share) {
  return x * share + before * (1 - share);
}

}  // namespace

RwkvConfig parse_rwkv_config(const nlohmann::ordered_json& config) {
  RwkvConfig result;
  result.vocab = rwkv_size(config, "vocab_size", 0);
  result.width = rwkv_size(config, "hidden_size", 0);
  result.depth = rwkv_size(config, "num_hidden_layers", 0);
  result.attention = rwkv_size(config, "attention_hidden_size", result.width);
  result.inner = rwkv_size(config, "intermediate_size", 4 * result.width);
  try {
    result.norm_eps = config.value("layer_norm_epsilon", 1e-5);
    result.tied_head = config.value("tie_word_embeddings", false);
  } catch (const nlohmann::json::exception&) {
    throw InputError("config.json: layer_norm_epsilon is no number or tie_word_embeddings not true or false; see its original config.json");
  }
  return result;
}

RwkvAttentionImpl::RwkvAttentionImpl(const RwkvConfig& config)
    : key(register_module("key", Linear(config.width, config.attention, false))),
      value(register_module("value", Linear(config.width, config.attention, false))),
      receptance(register_module("receptance", Linear(config.width, config.attention, false))),
      output(register_module("output", Linear(config.attention, config.width, false))) {
  time_decay = rwkv_parameter(*this, "time_decay", {config.attention});
  time_first = rwkv_parameter(*this, "time_first", {config.attention});
  time_mix_key = rwkv_parameter(*this, "time_mix_key", {1, 1, config.width});
  time_mix_value = rwkv_parameter(*this, "time_mix_value", {1, 1, config.width});
  time_mix_receptance = rwkv_parameter(*this, "time_mix_receptance", {1, 1, config.width});
}

torch::Tensor RwkvAttentionImpl::forward(const torch::Tensor& x, RwkvState* state) {
  const auto before = shifted(x, state != nullptr ? &state->attended : nullptr);
  const auto scanned = wkv({.key = key(mixed(x, before, time_mix_key)),
                            .value = value(mixed(x, before, time_mix_value)),
                            .decay = -torch::exp(time_decay),
                            .first = time_first,
                            .state = state != nullptr ? state->wkv : WkvState{}});
  if (state != nullptr) state->wkv = scanned.state;
  return output(torch::sigmoid(receptance(mixed(x, before, time_mix_receptance))) * scanned.y);
}

RwkvFeedForwardImpl::RwkvFeedForwardImpl(const RwkvConfig& config)
    : key(register_module("key", Linear(config.width, config.inner, false))),
      receptance(register_module("receptance", Linear(config.width, config.width, false))),
      value(register_module("value", Linear(config.inner, config.width, false))) {
  time_mix_key = rwkv_parameter(*this, "time_mix_key", {1, 1, config.width});
  time_mix_receptance = rwkv_parameter(*this, "time_mix_receptance", {1, 1, config.width});
}

torch::Tensor RwkvFeedForwardImpl::forward(const torch::Tensor& x, RwkvState* state) {
  const auto before = shifted(x, state != nullptr ? &state->fed : nullptr);
  const auto inner = torch::relu(key(mixed(x, before, time_mix_key))).square();
  return torch::sigmoid(receptance(mixed(x, before, time_mix_receptance))) * value(inner);
}

RwkvBlockImpl::RwkvBlockImpl(const RwkvConfig& config)
    : ln1(register_module("ln1", Norm(rwkv_norm(config, config.norm_eps)))),
      ln2(register_module("ln2", Norm(rwkv_norm(config, config.norm_eps)))),
      attention(register_module("attention", RwkvAttention(config))),
      feed_forward(register_module("feed_forward", RwkvFeedForward(config))) {}

torch::Tensor RwkvBlockImpl::forward(const torch::Tensor& x, RwkvState* state) {
  const auto middle = x + attention(ln1(x), state);
  return middle + feed_forward(ln2(middle), state);
}

RwkvImpl::RwkvImpl(const RwkvConfig& config)
    : config_(config), rwkv_(register_module("rwkv", std::make_shared<torch::nn::Module>())), pre_ln_(rwkv_norm(config, config.norm_eps)) {
  auto embeddings = rwkv_->register_module("embeddings", std::make_shared<torch::nn::Module>());
  embedding_ = rwkv_parameter(*embeddings, "weight", {config.vocab, config.width});
  for (int64_t i = 0; i < config.depth; ++i) blocks_.emplace_back(config);
  ln_out_ = rwkv_->register_module("ln_out", Norm(rwkv_norm(config, 1e-5)));  // its epsilon is not configured
  if (!config.tied_head) {
    auto head = register_module("head", std::make_shared<torch::nn::Module>());
    head_ = rwkv_parameter(*head, "weight", {config.vocab, config.width});
  }
  number_blocks();
}

void RwkvImpl::number_blocks() {
  if (holder_) rwkv_->unregister_module("blocks");
  holder_ = rwkv_->register_module("blocks", std::make_shared<torch::nn::Module>());
  for (size_t i = 0; i < blocks_.size(); ++i) holder_->register_module(std::to_string(i), blocks_[i]);
  if (!blocks_.front()->named_children().contains("pre_ln")) blocks_.front()->register_module("pre_ln", pre_ln_);
  config_.depth = static_cast<int64_t>(blocks_.size());
}

torch::Tensor RwkvImpl::embed(const torch::Tensor& ids) { return pre_ln_(torch::embedding(embedding_, ids)); }

RwkvBlock RwkvImpl::block(int64_t index) const { return blocks_.at(static_cast<size_t>(index)); }

torch::Tensor RwkvImpl::final_norm(const torch::Tensor& x) { return ln_out_(x); }

torch::Tensor RwkvImpl::logits(const torch::Tensor& normed) const {
  return kernels::linear(normed, config_.tied_head ? embedding_ : head_);
}

torch::Tensor RwkvImpl::forward(const torch::Tensor& ids, std::vector<RwkvState>* states) {
  return logits(final_norm(through_blocks(embed(ids), blocks_, states)));
}

void RwkvImpl::remove_blocks(const std::vector<int64_t>& indices) {
  blocks_ = without_blocks(blocks_, indices);
  number_blocks();
}

}  // namespace tessera::nn
