#include "tessera/nn/attention.h"

#include <bit>
#include <cmath>
#include <limits>

#include "tessera/base/error.h"
#include "tessera/kernels/attention.h"
#include "tessera/tensor/shapes.h"

namespace tessera::nn {

namespace {

// seen: [B or 1, T, S] bool. With slopes [H], query [B or 1, T] and key [B or 1, S] say where in its text each token stands.
torch::Tensor additive(const torch::Tensor& seen, torch::Dtype dtype, const torch::Tensor& slopes = {}, const torch::Tensor& query = {},
                       const torch::Tensor& key = {}) {
  const auto hidden = seen.logical_not().unsqueeze(1);  // [B or 1, 1, T, S]
  constexpr float never = -std::numeric_limits<float>::infinity();
  if (!slopes.defined()) return torch::zeros(hidden.sizes(), seen.options().dtype(dtype)).masked_fill_(hidden, never);
  const auto apart = (key.unsqueeze(1) - query.unsqueeze(2)).unsqueeze(1);
  return (slopes.to(seen.device()).view({1, -1, 1, 1}) * apart).to(dtype).masked_fill(hidden, never);
}

torch::Tensor additive_mask(const MaskInputs& in, torch::Dtype dtype, torch::Device device) {
  const int64_t all = in.past + in.tokens;
  const auto whole = torch::TensorOptions(torch::kInt64).device(device);
  const auto query = torch::arange(in.past, all, whole).unsqueeze(1),
             key = torch::arange(all - in.keys, all, whole).unsqueeze(0);  // [T, 1], [1, S]
  auto seen = key.le(query);                                               // [T, S]
  if (in.window > 0) seen = seen.logical_and(key.gt(query - in.window));
  seen = seen.unsqueeze(0);  // [1, T, S]
  if (in.real.defined()) seen = seen.logical_and(in.real.narrow(1, all - in.keys, in.keys).unsqueeze(1));
  if (in.documents.defined()) seen = seen.logical_and(in.documents.unsqueeze(2).eq(in.documents.unsqueeze(1)));
  seen = seen.logical_or(key.eq(query));
  if (!in.slopes.defined()) return additive(seen, dtype);
  const auto count = in.real.defined() ? in.real.cumsum(1) : torch::arange(all, whole).unsqueeze(0);
  return additive(seen, dtype, in.slopes, count.narrow(1, in.past, in.tokens), count.narrow(1, all - in.keys, in.keys));
}

// The first key that each query sees, [B or 1, T], when neither padding nor a scattered document leaves holes.
torch::Tensor first_keys(const MaskInputs& in) {
  const int64_t hidden = in.past + in.tokens - in.keys;  // tokens whose keys are gone
  auto low = torch::zeros({1, in.tokens}, torch::kInt64);
  if (in.window > 0) low = torch::arange(in.past, in.past + in.tokens, torch::kInt64).unsqueeze(0) - (in.window - 1 + hidden);
  if (in.documents.defined()) {
    const auto numbers = in.documents.to(torch::kInt64).contiguous();
    low = torch::maximum(low, torch::searchsorted(numbers, numbers, false, false));  // where a document's number first stands
  }
  return low.clamp_min(0).to(torch::kInt32);
}

// The mask of a causal attention.
torch::Tensor additive_of(const AttentionMask& mask, const torch::Tensor& q, int64_t keys) {
  const auto key = torch::arange(keys, q.options().dtype(torch::kInt64)).unsqueeze(0),
             query = torch::arange(keys - q.size(2), keys, key.options()).unsqueeze(0);
  auto seen = key.le(query.t()).unsqueeze(0);
  if (mask.low.defined()) seen = seen.logical_and(key.unsqueeze(0).ge(mask.low.to(key.device()).unsqueeze(2)));
  return additive(seen, q.scalar_type(), mask.slopes, query, key);
}

}  // namespace

torch::Tensor alibi_slopes(int64_t heads) {
  if (heads < 1) throw InputError("ALiBi of {} heads; expected 1 or more", heads);
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  std::vector<float> slopes;
  const auto add = [&](int64_t of, int64_t index) {
    slopes.push_back(static_cast<float>(std::exp2(-8.0 * static_cast<double>(index) / static_cast<double>(of))));
  };
  for (int64_t i = 1; i <= power; ++i) add(power, i);
  for (int64_t i = power; i < heads; ++i) add(2 * power, 2 * (i - power) + 1);
  return torch::tensor(slopes);
}

AttentionMask attention_mask(const MaskInputs& in, torch::Dtype dtype, torch::Device device) {
  const int64_t all = in.past + in.tokens;
  if (in.keys < in.tokens || in.keys > all)
    throw InputError("an attention mask for {} of {} keys; expected {} to {}", in.keys, all, in.tokens, all);
  if (in.real.defined() && (in.real.dim() != 2 || in.real.size(0) != in.batch || in.real.size(1) != all)) {
    throw InputError("the padding mask is {}; expected [{}, {}], sequences and tokens", tensor::shape_text(in.real.sizes()), in.batch, all);
  }
  if (in.documents.defined() &&
      (in.past > 0 || in.documents.dim() != 2 || in.documents.size(0) != in.batch || in.documents.size(1) != in.tokens)) {
    throw InputError("document numbers are {} after {} cached tokens; expected [{}, {}], sequences and tokens, and no cache",
                     tensor::shape_text(in.documents.sizes()), in.past, in.batch, in.tokens);
  }
  const bool slides = in.window > 0 && all > in.window;
  const bool special = in.real.defined() || in.documents.defined() || in.slopes.defined();
  if (!slides && !special && in.keys == in.tokens) return {.causal = in.tokens > 1};
  if (!special && in.tokens == 1 && (!slides || in.keys <= in.window)) return {};
  const bool runs = !in.documents.defined() || in.documents.diff().ge(0).all().item<bool>();  // each document's tokens together
  if (!in.real.defined() && runs && in.tokens >= kernels::attention_least && device.is_cpu())
    return {.causal = true, .low = first_keys(in), .slopes = in.slopes};
  return {.additive = additive_mask(in, dtype, device)};
}

// LibTorch's kernel; from 2.5 on it shares a head of keys among queries, before that the keys are repeated.
template <class T>
static T library_attention(const T& q, const T& k, const T& v, const std::optional<T>& additive, bool causal, double scale) {
  const int64_t group = q.size(1) / k.size(1);
  if constexpr (requires { at::scaled_dot_product_attention(q, k, v, additive, 0.0, causal, scale, true); }) {
    return at::scaled_dot_product_attention(q, k, v, additive, 0.0, causal, scale, group > 1);
  } else {
    const auto each = [&](const T& t) { return group > 1 ? t.repeat_interleave(group, 1) : t; };
    return at::scaled_dot_product_attention(q, each(k), each(v), additive, 0.0, causal, scale);
  }
}

// One token a sequence: the queries that share a head of keys see the same keys, and stand where a head's tokens would. LibTorch's way
// copies all keys and values once a query and takes a slow matrix-vector product in bfloat16: after 1500 tokens half the speed. In float32
// it is as fast as this.
static torch::Tensor attend_grouped(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, const AttentionMask& mask,
                                    double scale) {
  const auto grouped = q.reshape({q.size(0), k.size(1), q.size(1) / k.size(1), q.size(3)});  // [B, kv heads, queries of each, e]
  auto additive = mask.additive.defined() ? std::optional(mask.additive) : std::nullopt;
  if (additive && additive->size(1) > 1) additive = additive->view({additive->size(0), grouped.size(1), grouped.size(2), -1});
  return library_attention(grouped, k, v, additive, false, scale).reshape({q.size(0), 1, q.size(1) * v.size(3)});
}

torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, const AttentionMask& mask, double scale) {
  if (mask.causal && kernels::attention_takes(q, k, v)) return kernels::attention(q, k, v, scale, mask.low, mask.slopes);
  if (q.size(2) == 1 && q.size(1) > k.size(1) && !mask.causal && q.scalar_type() == torch::kBFloat16)
    return attend_grouped(q, k, v, mask, scale);
  const bool plain = q.size(2) == k.size(2) && !mask.low.defined() && !mask.slopes.defined();  // what LibTorch means by causal
  const auto additive = mask.causal && !plain ? additive_of(mask, q, k.size(2)) : mask.additive;
  const auto out = library_attention(q, k, v, additive.defined() ? std::optional(additive) : std::nullopt, mask.causal && plain,
                                     scale);  // [B, H, T, e]
  return out.transpose(1, 2).reshape({q.size(0), q.size(2), q.size(1) * v.size(3)});
}

AttentionImpl::AttentionImpl(const AttentionOptions& given) : options(given) {
  if (options.kv_heads < 1 || options.heads % options.kv_heads != 0) {
    throw InputError("{} attention heads cannot share {} key heads; the first must be a multiple of the second", options.heads,
                     options.kv_heads);
  }
  if (options.scale == 0.0) options.scale = 1.0 / std::sqrt(static_cast<double>(options.head_width));
  const int64_t all = options.heads * options.head_width, keys = options.kv_heads * options.head_width;
  q_proj = register_module("q_proj", Linear(options.width, all, options.qkv_bias));
  k_proj = register_module("k_proj", Linear(options.width, keys, options.qkv_bias));
  v_proj = register_module("v_proj", Linear(options.width, keys, options.qkv_bias));
  o_proj = register_module("o_proj", Linear(all, options.width, options.out_bias));
  if (options.qk_norm) {
    auto head = options.head_norm;
    head.width = options.head_width;
    q_norm = register_module("q_norm", Norm(head));
    k_norm = register_module("k_norm", Norm(head));
  }
}

torch::Tensor AttentionImpl::forward(const torch::Tensor& x, const AttentionInputs& inputs) {
  const int64_t heads = options.heads, keys = options.kv_heads, width = options.head_width;
  const auto joined = run_together({q_proj, k_proj, v_proj}, x).view({x.size(0), x.size(1), heads + 2 * keys, width});
  const bool same_turn = !q_norm && inputs.rope != nullptr;  // q and k can be turned in one go
  if (same_turn && inputs.cache == nullptr && inputs.mask->causal && torch::GradMode::is_enabled() &&
      kernels::rotary_attention_takes(joined, heads))
    return o_proj(kernels::rotary_attention(joined, inputs.rope->cos, inputs.rope->sin, heads, options.scale, inputs.mask->low));
  torch::Tensor q, k;
  if (same_turn) {
    const auto turned = rotate(joined.narrow(2, 0, heads + keys), *inputs.rope);
    q = turned.narrow(2, 0, heads);
    k = turned.narrow(2, heads, keys);
  } else {
    q = joined.narrow(2, 0, heads);
    k = joined.narrow(2, heads, keys);
    if (q_norm) q = q_norm(q), k = k_norm(k);
    if (inputs.rope != nullptr) q = rotate(q, *inputs.rope), k = rotate(k, *inputs.rope);
  }
  const auto v = joined.narrow(2, heads + keys, keys);
  if (inputs.cache == nullptr) return o_proj(attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), *inputs.mask, options.scale));
  const auto [all_k, all_v] = inputs.cache->append(k, v);
  return o_proj(attend(q.transpose(1, 2), all_k, all_v, *inputs.mask, options.scale));
}

void AttentionImpl::store(const torch::Tensor& x, const AttentionInputs& inputs) {
  if (inputs.cache == nullptr) return;
  const int64_t keys = options.kv_heads, width = options.head_width;
  const auto joined = run_together({k_proj, v_proj}, x).view({x.size(0), x.size(1), 2 * keys, width});
  auto k = joined.narrow(2, 0, keys);
  if (k_norm) k = k_norm(k);
  if (inputs.rope != nullptr) k = rotate(k, *inputs.rope);
  inputs.cache->append(k, joined.narrow(2, keys, keys));
}

void AttentionImpl::fuse(Contents contents) { lay_together({q_proj, k_proj, v_proj}, contents); }

}  // namespace tessera::nn
