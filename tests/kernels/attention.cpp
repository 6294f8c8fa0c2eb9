#include "tessera/kernels/attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tessera/base/error.h"
#include "tessera/kernels/rotary_grad.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

namespace {

struct Inputs {
  torch::Tensor q, k, v, low, slopes;
  // As a model has them: parts of one [B, T, heads, e] block where keys and queries are as many.
  Inputs(torch::Dtype dtype, int64_t batch, int64_t heads, int64_t kv, int64_t queries, int64_t keys, int64_t width) {
    torch::manual_seed(11);
    const auto joined = torch::randn({batch, keys, heads + 2 * kv, width}).to(dtype);
    const auto part = [&](int64_t from, int64_t count) { return joined.narrow(2, from, count).transpose(1, 2); };
    q = part(0, heads).narrow(2, 0, queries), k = part(heads, kv), v = part(heads + kv, kv);
  }
};

// The definition, in the dtype of its inputs.
torch::Tensor plain_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                              const torch::Tensor& low, const torch::Tensor& slopes) {
  const int64_t queries = q.size(2), keys = k.size(2), group = q.size(1) / k.size(1);
  const auto key = torch::arange(keys).unsqueeze(0), last = torch::arange(keys - queries, keys).unsqueeze(1);
  auto seen = key.le(last).unsqueeze(0);  // [1, T, S]
  if (low.defined()) seen = seen.logical_and(key.unsqueeze(0).ge(low.unsqueeze(2)));
  auto scores = torch::matmul(q, k.repeat_interleave(group, 1).transpose(2, 3)) * scale;
  if (slopes.defined()) scores = scores + (slopes.view({1, -1, 1, 1}) * (key - last)).to(q.scalar_type());
  const auto weights = scores.masked_fill(seen.unsqueeze(1).logical_not(), -INFINITY).softmax(-1);
  return torch::matmul(weights, v.repeat_interleave(group, 1)).transpose(1, 2).reshape({q.size(0), queries, -1});
}

// A window of 20 keys for the first sequence, documents of 37 tokens for the second.
torch::Tensor lower_bounds(int64_t queries, int64_t keys) {
  const auto at = torch::arange(keys - queries, keys);
  return torch::stack({(at - 19).clamp_min(0), at.div(37, "floor") * 37}).to(torch::kInt32);
}

void expect_attention(torch::Dtype dtype, int64_t heads, int64_t kv, int64_t queries, int64_t keys, int64_t width, bool bounded,
                      bool sloped = false) {
  Inputs in(dtype, 2, heads, kv, queries, keys, width);
  if (bounded) in.low = lower_bounds(queries, keys);
  if (sloped) in.slopes = torch::arange(1, heads + 1).neg().to(torch::kFloat32).exp2();
  SCOPED_TRACE(fmt::format("{} heads on {}, {} queries, {} keys, width {}, bounded {}", heads, kv, queries, keys, width, bounded));
  const auto slope = torch::randn({2, queries, heads * width}).to(dtype);
  const auto all = [&](auto&& attend, torch::Dtype type) {
    std::vector<torch::Tensor> leaves;
    for (const auto& t : {in.q, in.k, in.v}) leaves.push_back(t.detach().to(type).set_requires_grad(true));
    const auto out = attend(leaves[0], leaves[1], leaves[2], 0.3, in.low, in.slopes);
    out.backward(slope.to(type));
    return std::vector<torch::Tensor>{out.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
  };
  const auto ours = all(attention, dtype), plain = all(plain_attention, dtype), exact = all(plain_attention, torch::kDouble);
  for (size_t i = 0; i < ours.size(); ++i) {
    SCOPED_TRACE(i == 0 ? "output" : i == 1 ? "dq" : i == 2 ? "dk" : "dv");
    EXPECT_EQ(ours[i].scalar_type(), dtype);
    expect_close(ours[i], plain[i], exact[i]);
  }
}

}  // namespace

TEST(KernelAttention, IsItsDefinitionWithItsGradients) {
  on_every_target([] {
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      expect_attention(dtype, 2, 2, 48, 48, 8, false);
      expect_attention(dtype, 4, 2, 100, 100, 20, true);
      expect_attention(dtype, 3, 1, 128, 128, 64, false);
      expect_attention(dtype, 2, 1, 65, 200, 32, true);
      expect_attention(dtype, 2, 2, 64, 129, 80, false);
      expect_attention(dtype, 4, 2, 70, 150, 16, false, true);
      expect_attention(dtype, 3, 3, 100, 100, 24, true, true);
    }
  });
}

// One projection with its turn, beside the turn and the attention of its parts.
TEST(KernelAttention, OfOneProjectionIsThatOfItsParts) {
  torch::manual_seed(5);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    const auto joined = torch::randn({2, 70, 8, 16}).to(dtype).set_requires_grad(true), slope = torch::randn({2, 70, 64}).to(dtype);
    const auto angles = torch::arange(70, torch::kFloat32).unsqueeze(1) * torch::rand({8}), cos = angles.cos().unsqueeze(0),
               sin = angles.sin().unsqueeze(0);
    const auto low = torch::arange(70, torch::kInt32).sub(9).clamp_min(0).unsqueeze(0);
    const auto ours = rotary_attention(joined, cos, sin, 4, 0.25, low);
    const auto qk = rotary_train(joined.narrow(2, 0, 6), cos, sin);
    const auto part = [](const torch::Tensor& t, int64_t from, int64_t count) { return t.narrow(2, from, count).transpose(1, 2); };
    const auto plain = attention(part(qk, 0, 4), part(qk, 4, 2), part(joined, 6, 2), 0.25, low);
    EXPECT_TRUE(torch::equal(ours, plain));
    const auto gradient = [&](const torch::Tensor& out) { return torch::autograd::grad({out}, {joined}, {slope})[0]; };
    EXPECT_TRUE(torch::allclose(gradient(ours), gradient(plain), 1e-2, dtype == torch::kFloat32 ? 1e-6 : 1e-2));
  }
  EXPECT_FALSE(rotary_attention_takes(torch::randn({2, 70, 7, 16}), 4));
  EXPECT_THROW(rotary_attention(torch::randn({2, 70, 7, 16}), {}, {}, 4, 1.0), InputError);
}

TEST(KernelAttention, IsTheSameForEveryNumberOfThreads) {
  const Inputs in(torch::kFloat32, 2, 4, 2, 150, 150, 16);
  const auto run = [&] {
    auto q = in.q.detach().clone().set_requires_grad(true);
    const auto out = attention(q, in.k, in.v, 0.2);
    out.sum().backward();
    return std::pair{out.detach(), q.grad()};
  };
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = run();
  at::set_num_threads(3);
  const auto three = run();
  at::set_num_threads(before);
  EXPECT_TRUE(torch::equal(one.first, three.first));
  EXPECT_TRUE(torch::equal(one.second, three.second));
}

TEST(KernelAttention, GreatScoresDoNotOverflow) {
  const Inputs in(torch::kFloat32, 1, 1, 1, 80, 80, 16);
  const auto out = attention(in.q * 1e4, in.k, in.v, 1.0);
  EXPECT_TRUE(out.isfinite().all().item<bool>());
  EXPECT_LE(out.abs().max().item<float>(), in.v.abs().max().item<float>());
}

TEST(KernelAttention, RefusesWhatItCannotTake) {
  const Inputs in(torch::kFloat32, 1, 2, 1, 64, 64, 8);
  EXPECT_TRUE(attention_takes(in.q, in.k, in.v));
  EXPECT_FALSE(attention_takes(in.q.narrow(2, 0, 8), in.k, in.v)) << "few queries";
  EXPECT_FALSE(attention_takes(in.q, in.k.narrow(2, 0, 50), in.v.narrow(2, 0, 50))) << "fewer keys than queries";
  EXPECT_FALSE(attention_takes(in.q.to(torch::kDouble), in.k.to(torch::kDouble), in.v.to(torch::kDouble)));
  EXPECT_THROW(attention(in.q.narrow(2, 0, 8), in.k, in.v, 1.0), InputError);
  EXPECT_THROW(attention(in.q, in.k, in.v, 1.0, torch::zeros({1, 63}, torch::kInt32)), InputError);
}

}  // namespace tessera::kernels
