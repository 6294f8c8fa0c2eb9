#include "tessera/kernels/attention.h"

#include "tessera/base/error.h"
#include "tessera/kernels/attention_passes.h"
#include "tessera/kernels/rotary.h"
#include "tessera/tensor/shapes.h"

namespace tessera::kernels {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [B, T, heads, e] <-> [B, heads, T, e], the same memory.
torch::Tensor turned(const torch::Tensor& t) { return t.transpose(1, 2); }

torch::Tensor merged(const torch::Tensor& out) { return out.view({out.size(0), out.size(1), -1}); }

struct Attention : torch::autograd::Function<Attention> {
  static torch::Tensor forward(AutogradContext* ctx, const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                               const torch::Tensor& low, const torch::Tensor& slopes) {
    const auto pass = attention_forward(q, k, v, scale, low, slopes);
    ctx->save_for_backward({q, k, v, pass.out, pass.log_sum, low, slopes});
    ctx->saved_data["scale"] = scale;
    return merged(pass.out);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& dy) {
    const auto saved = ctx->get_saved_variables();
    const auto like = [](const torch::Tensor& t) { return turned(torch::empty(turned(t).sizes(), t.options().requires_grad(false))); };
    const auto dq = like(saved[0]), dk = like(saved[1]), dv = like(saved[2]);
    attention_backward({.q = saved[0],
                        .k = saved[1],
                        .v = saved[2],
                        .out = saved[3],
                        .log_sum = saved[4],
                        .low = saved[5],
                        .slopes = saved[6],
                        .scale = ctx->saved_data["scale"].toDouble()},
                       dy[0], dq, dk, dv);
    return {dq, dk, dv, {}, {}, {}};
  }
};

// The heads of a projection of all three: H of queries, K of keys, K of values, one behind another.
struct JoinedHeads {
  int64_t queries, keys;
  torch::Tensor q(const torch::Tensor& t) const { return turned(t.narrow(2, 0, queries)); }
  torch::Tensor k(const torch::Tensor& t) const { return turned(t.narrow(2, queries, keys)); }
  torch::Tensor v(const torch::Tensor& t) const { return turned(t.narrow(2, queries + keys, keys)); }
  torch::Tensor rotated(const torch::Tensor& t) const { return t.narrow(2, 0, queries + keys); }
};

struct RotaryAttention : torch::autograd::Function<RotaryAttention> {
  static torch::Tensor forward(AutogradContext* ctx, const torch::Tensor& joined, const torch::Tensor& cos, const torch::Tensor& sin,
                               int64_t heads, double scale, const torch::Tensor& low) {
    const JoinedHeads part{heads, (joined.size(2) - heads) / 2};
    const auto qk = rotary(part.rotated(joined), cos, sin);
    const auto pass = attention_forward(part.q(qk), part.k(qk), part.v(joined), scale, low);
    ctx->save_for_backward({joined, qk, pass.out, pass.log_sum, low, cos, sin});
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["scale"] = scale;
    return merged(pass.out);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& slopes) {
    const auto saved = ctx->get_saved_variables();
    const auto &joined = saved[0], &qk = saved[1];
    const int64_t heads = ctx->saved_data["heads"].toInt();
    const JoinedHeads part{heads, (joined.size(2) - heads) / 2};
    const auto gradient = torch::empty(joined.sizes(), joined.options().requires_grad(false));
    attention_backward({.q = part.q(qk),
                        .k = part.k(qk),
                        .v = part.v(joined),
                        .out = saved[2],
                        .log_sum = saved[3],
                        .low = saved[4],
                        .slopes = {},
                        .scale = ctx->saved_data["scale"].toDouble()},
                       slopes[0], part.q(gradient), part.k(gradient), part.v(gradient));
    const auto back = part.rotated(gradient);
    rotary_into(back, saved[5], saved[6].neg(), back);
    return {gradient, {}, {}, {}, {}, {}};
  }
};

void check_low(const torch::Tensor& low, int64_t batch, int64_t queries) {
  if (!low.defined()) return;
  if (low.scalar_type() != torch::kInt32 || low.dim() != 2 || (low.size(0) != 1 && low.size(0) != batch) || low.size(1) != queries) {
    throw InputError("the first keys that queries see are {}; expected int32 [{} or 1, {}], sequences and queries",
                     tensor::shape_text(low.sizes()), batch, queries);
  }
}

torch::Tensor low_or_zero(const torch::Tensor& low, int64_t queries) {
  return low.defined() ? low : torch::zeros({1, queries}, torch::kInt32);
}

}  // namespace

bool attention_takes(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v) {
  const auto fits = [&](const torch::Tensor& t) {
    return t.device().is_cpu() && t.dim() == 4 && t.stride(3) == 1 && t.scalar_type() == q.scalar_type() && t.size(0) == q.size(0) &&
           t.size(3) == q.size(3);
  };
  return attention_has_products() && (q.scalar_type() == torch::kFloat32 || q.scalar_type() == torch::kBFloat16) && fits(q) && fits(k) &&
         fits(v) && q.size(3) > 0 && q.size(2) >= attention_least && k.size(2) >= q.size(2) && v.size(2) == k.size(2) && k.size(1) > 0 &&
         v.size(1) == k.size(1) && q.size(1) % k.size(1) == 0;
}

torch::Tensor attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale, const torch::Tensor& low,
                        const torch::Tensor& slopes) {
  if (!attention_takes(q, k, v)) {
    throw InputError("attention of q {}, k {}, v {}; expected float32 or bfloat16 [B, H, T, e] and [B, K, S, e] on the CPU, T from {} to S",
                     tensor::shape_text(q.sizes()), tensor::shape_text(k.sizes()), tensor::shape_text(v.sizes()), attention_least);
  }
  check_low(low, q.size(0), q.size(2));
  if (slopes.defined() && (slopes.scalar_type() != torch::kFloat32 || slopes.dim() != 1 || slopes.size(0) != q.size(1))) {
    throw InputError("the slopes of {} heads are {}; expected one float32 number a head", q.size(1), tensor::shape_text(slopes.sizes()));
  }
  return Attention::apply(q, k, v, scale, low_or_zero(low, q.size(2)), slopes.defined() ? slopes.contiguous() : torch::zeros({q.size(1)}));
}

bool rotary_attention_takes(const torch::Tensor& joined, int64_t heads) {
  const int64_t keys = (joined.size(2) - heads) / 2;
  if (joined.dim() != 4 || heads < 1 || keys < 1 || heads + 2 * keys != joined.size(2)) return false;
  const JoinedHeads part{heads, keys};
  return attention_takes(part.q(joined), part.k(joined), part.v(joined));
}

torch::Tensor rotary_attention(const torch::Tensor& joined, const torch::Tensor& cos, const torch::Tensor& sin, int64_t heads, double scale,
                               const torch::Tensor& low) {
  if (!rotary_attention_takes(joined, heads)) {
    throw InputError("attention of {} with {} heads of queries; expected float32 or bfloat16 [B, T, H + 2 K, e] on the CPU, T at least {}",
                     tensor::shape_text(joined.sizes()), heads, attention_least);
  }
  check_low(low, joined.size(0), joined.size(1));
  return RotaryAttention::apply(joined, cos, sin, heads, scale, low_or_zero(low, joined.size(1)));
}

}  // namespace tessera::kernels
