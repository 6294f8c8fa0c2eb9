#include "tessera/lm/model.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/kernels/cross_entropy.h"
#include "tessera/kernels/linear.h"
#include "tessera/tensor/draw.h"
#include "tessera/tensor/quantised.h"
#include "tessera/tensor/shapes.h"

namespace tessera::lm {

TransformerImpl::TransformerImpl(const ModelConfig& config) : config_(config) {
  // An unnamed inner module carries the prefix "model." of the checkpoints' names.
  auto body = register_module("model", std::make_shared<torch::nn::Module>());
  embed_tokens = body->register_module("embed_tokens", std::make_shared<torch::nn::Module>())
                     ->register_parameter("weight", tensor::unfilled({config.vocab, config.width}, torch::kFloat32));
  if (config.learned_positions) {
    embed_positions = body->register_module("embed_positions", std::make_shared<torch::nn::Module>())
                          ->register_parameter("weight", tensor::unfilled({config.max_positions, config.width}, torch::kFloat32));
  }
  if (config.alibi) slopes_ = nn::alibi_slopes(config.heads);
  if (config.rotates()) {
    frequencies_ = nn::rope_frequencies(config.rope, config.head_width);
    local_frequencies_ = nn::rope_frequencies(config.local_rope, config.head_width);
  }
  body->register_module("layers", std::make_shared<torch::nn::Module>());
  for (const auto& layer : config.layers) blocks_.emplace_back(config, layer);
  number_blocks();
  if (config.placement != NormPlacement::post) {
    norm_ = body->register_module(
        "norm",
        nn::Norm(nn::NormOptions{.kind = config.norm, .width = config.width, .eps = config.norm_eps, .offset = config.norm_offset}));
  }
  if (!config.tied_head) {
    head_ = register_module("lm_head", std::make_shared<torch::nn::Module>())
                ->register_parameter("weight", tensor::unfilled({config.vocab, config.width}, torch::kFloat32));
  }
}

// Registers the blocks under their present numbers.
void TransformerImpl::number_blocks() {
  auto body = named_children()["model"];
  auto layers = std::make_shared<torch::nn::Module>();
  for (size_t i = 0; i < blocks_.size(); ++i) layers->register_module(std::to_string(i), blocks_[i].ptr());
  layers->train(is_training());
  body->replace_module("layers", std::move(layers));
  config_.layers.clear();
  for (const auto& block : blocks_) config_.layers.push_back(block->layer);
}

torch::Dtype TransformerImpl::dtype() const { return embed_tokens.scalar_type(); }
torch::Device TransformerImpl::device() const { return embed_tokens.device(); }

nn::KvCache TransformerImpl::new_cache() const {
  nn::KvCache cache;
  for (const auto& layer : config_.layers) cache.slots.emplace_back(layer.sliding ? config_.window : 0);
  return cache;
}

// The number of each token among the real ones of its sequence (or of its document); padding counts as position 0.
static torch::Tensor positions_of(const torch::Tensor& ids, const PassOptions& options, const torch::Tensor& real) {
  const int64_t past = options.cache != nullptr ? options.cache->length : 0, tokens = ids.size(1);
  if (options.positions.defined()) {
    if (options.positions.dim() != 2 || options.positions.size(1) != tokens ||
        (options.positions.size(0) != 1 && options.positions.size(0) != ids.size(0))) {
      throw InputError("positions are {} for ids {}; expected one for each token", tensor::shape_text(options.positions.sizes()),
                       tensor::shape_text(ids.sizes()));
    }
    return options.positions.to(ids.device(), torch::kInt64);
  }
  if (real.defined()) return (real.cumsum(1) - 1).clamp_min(0).narrow(1, past, tokens);
  auto count = torch::arange(past, past + tokens, ids.options()).unsqueeze(0);
  if (!options.documents.defined()) return count;
  auto begins = torch::ones_like(options.documents, torch::kBool);  // [B, T]: a document begins here
  if (tokens > 1)
    begins.narrow(1, 1, tokens - 1).copy_(options.documents.narrow(1, 1, tokens - 1).ne(options.documents.narrow(1, 0, tokens - 1)));
  const auto first = std::get<0>((begins.to(torch::kInt64) * count).cummax(1));
  return count - first;
}

// [B, past + T] bool, or undefined when neither the cache nor the new tokens have padding.
static torch::Tensor real_tokens(const torch::Tensor& ids, const PassOptions& options) {
  const auto* cache = options.cache;
  const auto old = cache != nullptr ? cache->mask : torch::Tensor();
  if (!options.mask.defined() && !old.defined()) return {};
  const auto yes = [&](int64_t n) { return torch::ones({ids.size(0), n}, ids.options().dtype(torch::kBool)); };
  auto fresh = options.mask.defined() ? options.mask.to(ids.device(), torch::kBool) : yes(ids.size(1));
  if (fresh.sizes() != ids.sizes()) {
    throw InputError("the padding mask is {} for ids {}; expected the same shape", tensor::shape_text(fresh.sizes()),
                     tensor::shape_text(ids.sizes()));
  }
  if (cache == nullptr || cache->length == 0) return fresh;
  return torch::cat({old.defined() ? old : yes(cache->length), fresh}, 1);
}

Pass TransformerImpl::start(const torch::Tensor& ids, const PassOptions& options) const {
  torch::NoGradGuard no_grad;
  if (ids.dim() != 2 || ids.scalar_type() != torch::kInt64 || ids.numel() == 0) {
    throw InputError("ids are {}; expected int64 [sequences, tokens], at least one of each", tensor::shape_text(ids.sizes()));
  }
  if (options.documents.defined() && (options.cache != nullptr || options.documents.sizes() != ids.sizes())) {
    throw InputError("document numbers are {} for ids {}; expected the same shape, and no cache",
                     tensor::shape_text(options.documents.sizes()), tensor::shape_text(ids.sizes()));
  }
  if (options.cache != nullptr && static_cast<int64_t>(options.cache->slots.size()) != depth()) {
    throw InputError("the cache has {} slots and the model {} blocks; make a cache with new_cache()", options.cache->slots.size(), depth());
  }
  const auto real = real_tokens(ids, options);
  Pass pass;
  pass.cache = options.cache;
  pass.skip = options.skip;
  pass.positions = positions_of(ids, options, real);
  if (options.cache != nullptr) options.cache->mask = real;
  if (config_.rotates()) {
    pass.rope = nn::rope_table(pass.positions, frequencies_.to(ids.device()));
    pass.local_rope = config_.local_rope == config_.rope ? pass.rope : nn::rope_table(pass.positions, local_frequencies_.to(ids.device()));
  }
  const int64_t past = options.cache != nullptr ? options.cache->length : 0, tokens = ids.size(1);
  nn::MaskInputs mask{.batch = ids.size(0),
                      .tokens = tokens,
                      .past = past,
                      .keys = past + tokens,
                      .window = 0,
                      .real = real,
                      .documents = options.documents,
                      .slopes = slopes_};
  pass.mask = nn::attention_mask(mask, dtype(), ids.device());
  mask.window = config_.window;
  if (config_.window > 0) mask.keys = std::min(mask.keys, options.cache != nullptr ? config_.window - 1 + tokens : mask.keys);
  pass.local_mask = config_.window > 0 ? nn::attention_mask(mask, dtype(), ids.device()) : pass.mask;
  return pass;
}

torch::Tensor TransformerImpl::embed(const torch::Tensor& ids, const Pass& pass) {
  const auto [low, high] = ids.aminmax();
  if (low.item<int64_t>() < 0 || high.item<int64_t>() >= config_.vocab) {
    const int64_t wrong = low.item<int64_t>() < 0 ? low.item<int64_t>() : high.item<int64_t>();
    throw InputError("token id {} is outside the vocabulary of {}; use this model's own tokenizer", wrong, config_.vocab);
  }
  auto x = token_rows ? token_rows(ids.flatten()).to(device()).view({ids.size(0), ids.size(1), config_.width})
                      : torch::embedding(embed_tokens, ids);
  // The scale is rounded to the model's dtype first, as in the published implementations.
  if (config_.embedding_scale != 1.0) x = x * torch::scalar_tensor(config_.embedding_scale, torch::dtype(dtype())).item<double>();
  if (embed_positions.defined()) {
    const int64_t last = pass.positions.max().item<int64_t>();
    if (last >= config_.max_positions) {
      throw InputError("position {} is beyond the model's context of {} tokens; shorten the text", last, config_.max_positions);
    }
    x = x + torch::embedding(embed_positions, pass.positions);
  }
  return x;
}

Block TransformerImpl::block(int64_t index) const {
  if (index < 0 || index >= depth()) throw InputError("block {} of a model with {}; expected 0 to {}", index, depth(), depth() - 1);
  return blocks_[index];
}

void TransformerImpl::finish(Pass& pass, int64_t tokens) const {
  if (pass.cache != nullptr) pass.cache->length += tokens;
}

torch::Tensor TransformerImpl::final_norm(const torch::Tensor& x) { return norm_ ? norm_(x) : x; }

torch::Tensor TransformerImpl::logits(const torch::Tensor& normed) {
  const auto& head = config_.tied_head ? embed_tokens : head_;
  if (head.size(0) == 0) throw InputError("the model was loaded for its hidden states alone; load it with its head for logits");
  return kernels::linear(normed, head);
}

torch::Tensor TransformerImpl::hidden(const torch::Tensor& ids, const PassOptions& options) {
  auto pass = start(ids, options);
  auto x = embed(ids, pass);
  for (int64_t i = 0; i < depth(); ++i) x = blocks_[i](x, pass, i);
  finish(pass, ids.size(1));
  return final_norm(x);
}

torch::Tensor TransformerImpl::forward(const torch::Tensor& ids, const PassOptions& options) { return logits(hidden(ids, options)); }

torch::Tensor TransformerImpl::losses(const torch::Tensor& normed, const torch::Tensor& targets) {
  if (normed.dim() < 1 || normed.sizes().slice(0, normed.dim() - 1) != targets.sizes()) {
    throw InputError("losses of hidden states {} and targets {}; expected one target for each state", tensor::shape_text(normed.sizes()),
                     tensor::shape_text(targets.sizes()));
  }
  const auto rows = normed.reshape({-1, normed.size(-1)}), wanted = targets.reshape({-1});
  const auto plain = [&](const torch::Tensor& z, const torch::Tensor& t) {
    return torch::nn::functional::cross_entropy(z.to(torch::kFloat32), t.clamp_min(-1),
                                                torch::nn::functional::CrossEntropyFuncOptions().ignore_index(-1).reduction(torch::kNone));
  };
  if (torch::GradMode::is_enabled()) return plain(logits(rows), wanted).view(targets.sizes());
  auto nats = torch::empty({rows.size(0)}, rows.options().dtype(torch::kFloat32));
  constexpr int64_t chunk = 128;  // rows: wide enough for the product's peak, 25 MB of float32 logits at a vocabulary of 49152
  for (int64_t i = 0; i < rows.size(0); i += chunk) {
    const int64_t n = std::min(chunk, rows.size(0) - i);
    const auto z = logits(rows.narrow(0, i, n)), t = wanted.narrow(0, i, n);
    nats.narrow(0, i, n).copy_(kernels::cross_entropy_takes(z) ? kernels::cross_entropy(z, t) : plain(z, t));
  }
  return nats.view(targets.sizes());
}

void TransformerImpl::remove_blocks(const std::vector<int64_t>& indices) {
  auto config = without_layers(config_, indices);
  auto sorted = indices;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (const int64_t index : sorted) blocks_.erase(blocks_.begin() + index);
  config_ = std::move(config);
  number_blocks();
}

void TransformerImpl::insert_block(int64_t index, Block block) {
  if (index < 0 || index > depth())
    throw InputError("a block cannot be put at {} of a model with {}; expected 0 to {}", index, depth(), depth());
  blocks_.insert(blocks_.begin() + index, std::move(block));
  number_blocks();
  record_extensions(config_);
}

void TransformerImpl::fuse(nn::Contents contents) {
  for (auto& block : blocks_) {
    if (block->self_attn) block->self_attn->fuse(contents);
    if (block->mlp) block->mlp->fuse(contents);
  }
}

void init_weights(Transformer& model, uint64_t seed) {
  torch::NoGradGuard no_grad;
  const double std = model->config().init_std, gain = 1.0 - model->config().norm_offset;
  for (auto& parameter : model->named_parameters()) {
    const auto& name = parameter.key();
    if (name.ends_with(".bias")) {
      parameter->zero_();
    } else if (parameter->dim() == 1) {
      parameter->fill_(gain);
    } else {
      parameter->copy_(tensor::normal_draw(parameter->sizes(), std, seed, "init/" + name));
    }
  }
}

}  // namespace tessera::lm
