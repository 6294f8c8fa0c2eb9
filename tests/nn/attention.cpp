#include "tessera/nn/attention.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"

namespace tessera::nn {

// Whether query t sees key s, by the mask's tensor; row by row.
static std::vector<std::string> seen_rows(const AttentionMask& mask) {
  std::vector<std::string> rows;
  const auto table = mask.additive[0][0];
  for (int64_t t = 0; t < table.size(0); ++t) {
    std::string row;
    for (int64_t s = 0; s < table.size(1); ++s) row += table[t][s].item<float>() == 0.0F ? 'x' : '.';
    rows.push_back(row);
  }
  return rows;
}

TEST(AttentionMask, PlainOnesNeedNoTensor) {
  const auto whole = attention_mask({.batch = 2, .tokens = 5, .past = 0, .keys = 5}, torch::kFloat32, torch::kCPU);
  EXPECT_TRUE(whole.causal);
  EXPECT_FALSE(whole.additive.defined());
  const auto one = attention_mask({.batch = 2, .tokens = 1, .past = 7, .keys = 8}, torch::kFloat32, torch::kCPU);
  EXPECT_FALSE(one.causal);
  EXPECT_FALSE(one.additive.defined());
  const auto slid = attention_mask({.batch = 1, .tokens = 1, .past = 7, .keys = 3, .window = 3}, torch::kFloat32, torch::kCPU);
  EXPECT_FALSE(slid.additive.defined()) << "the cache gives exactly the window";
}

TEST(AttentionMask, AWindowSeesItselfAndThoseJustBefore) {
  const auto mask = attention_mask({.batch = 1, .tokens = 3, .past = 4, .keys = 5, .window = 3}, torch::kFloat32, torch::kCPU);
  EXPECT_EQ(seen_rows(mask), (std::vector<std::string>{"xxx..", ".xxx.", "..xxx"}));
}

TEST(AttentionMask, PaddingIsNeverSeenButByItself) {
  const auto real = torch::tensor({0, 0, 1, 1}).to(torch::kBool).unsqueeze(0);
  const auto mask =
      attention_mask({.batch = 1, .tokens = 4, .past = 0, .keys = 4, .window = 0, .real = real}, torch::kFloat32, torch::kCPU);
  EXPECT_EQ(seen_rows(mask), (std::vector<std::string>{"x...", ".x..", "..x.", "..xx"}));
}

TEST(AttentionMask, DocumentsDoNotSeeEachOther) {
  const auto documents = torch::tensor({{int64_t{7}, int64_t{7}, int64_t{8}, int64_t{8}}});
  const auto mask = attention_mask({.batch = 1, .tokens = 4, .past = 0, .keys = 4, .window = 0, .real = {}, .documents = documents},
                                   torch::kFloat32, torch::kCPU);
  EXPECT_EQ(seen_rows(mask), (std::vector<std::string>{"x...", "xx..", "..x.", "..xx"}));
  EXPECT_THROW(attention_mask({.batch = 1, .tokens = 4, .past = 2, .keys = 6, .window = 0, .real = {}, .documents = documents},
                              torch::kFloat32, torch::kCPU),
               InputError);
}

TEST(KvSlot, AWindowKeepsExactlyWhatLaterTokensSee) {
  torch::NoGradGuard no_grad;
  KvSlot slot(4);
  const auto all = torch::arange(40, torch::kFloat32).view({1, 40, 1, 1});
  int64_t at = 0;
  for (const int64_t n : {3, 1, 1, 6, 1, 1, 1, 1, 1, 9, 1, 1, 1, 1, 1}) {
    const auto part = all.narrow(1, at, n);
    EXPECT_EQ(slot.visible_after(n), std::min(at + n, 3 + n));
    const auto [keys, values] = slot.append(part, part * 2);
    at += n;
    const int64_t visible = std::min(at, 3 + n);
    EXPECT_TRUE(torch::equal(keys.flatten(), all.flatten().narrow(0, at - visible, visible))) << "after " << at;
    EXPECT_TRUE(torch::equal(values, keys * 2));
  }
  EXPECT_LE(slot.bytes(), 2 * 4 * (3 + 9 + 4)) << "a window's memory does not grow with the text";
  EXPECT_FALSE(slot.rewind(10)) << "dropped tokens are gone";
  EXPECT_EQ(slot.seen(), at);
}

TEST(KvSlot, RewindForgetsTheEnd) {
  torch::NoGradGuard no_grad;
  KvSlot slot;
  const auto all = torch::randn({2, 300, 2, 4});
  slot.append(all, all);
  ASSERT_TRUE(slot.rewind(7));
  const auto keys = slot.append(all.narrow(1, 50, 2), all.narrow(1, 50, 2)).first;
  EXPECT_TRUE(torch::equal(keys.transpose(1, 2), torch::cat({all.narrow(1, 0, 7), all.narrow(1, 50, 2)}, 1)));
  EXPECT_THROW(slot.append(torch::randn({1, 1, 2, 4}), torch::randn({1, 1, 2, 4})), InputError);
}

TEST(Linear, LayersLaidTogetherGiveTheSameAndShareMemory) {
  torch::manual_seed(4);
  Linear a(6, 3, true), b(6, 5, true);
  for (auto* t : {&a->weight, &b->weight, &a->bias, &b->bias}) t->data().normal_();
  const auto x = torch::randn({2, 4, 6});
  const auto apart = run_together({a, b}, x).detach();
  lay_together({a, b});
  EXPECT_TRUE(a->weight.is_alias_of(b->weight));
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::allclose(run_together({a, b}, x), apart, 1e-5, 1e-6));
  b->weight.data().zero_();
  b->bias.data().zero_();
  EXPECT_EQ(run_together({a, b}, x).narrow(2, 3, 5).abs().max().item<float>(), 0.0F) << "a changed weight must be seen";
  b->weight.set_data(torch::ones({5, 6}));  // replaced: no longer together
  EXPECT_TRUE(torch::allclose(run_together({a, b}, x).select(2, 4), x.sum(2), 1e-5, 1e-5));
}

TEST(Attention, WhatOneTokenChangesIsSeenOnlyAfterIt) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(6);
  Attention layer(AttentionOptions{.width = 12, .heads = 4, .kv_heads = 2, .head_width = 6});
  for (auto& parameter : layer->parameters()) parameter.normal_();
  const auto mask = attention_mask({.batch = 1, .tokens = 6, .past = 0, .keys = 6}, torch::kFloat32, torch::kCPU);
  const auto x = torch::randn({1, 6, 12});
  auto changed = x.clone();
  changed[0][3].add_(1.0);
  AttentionInputs inputs;
  inputs.mask = &mask;
  const auto difference = (layer->forward(x, inputs) - layer->forward(changed, inputs)).abs().amax(2)[0];
  EXPECT_EQ(difference.narrow(0, 0, 3).max().item<float>(), 0.0F);
  EXPECT_GT(difference.narrow(0, 3, 3).min().item<float>(), 1e-4F);
}

// The table that a mask stands for, by its definition.
static torch::Tensor table_of(const MaskInputs& in) {
  const int64_t all = in.past + in.tokens, heads = in.slopes.defined() ? in.slopes.size(0) : 1;
  auto table = torch::full({in.batch, heads, in.tokens, in.keys}, -INFINITY);
  for (int64_t b = 0; b < in.batch; ++b)
    for (int64_t t = 0; t < in.tokens; ++t)
      for (int64_t s = 0; s < in.keys; ++s) {
        const int64_t query = in.past + t, key = all - in.keys + s;
        const bool near = key <= query && (in.window == 0 || key > query - in.window);
        const bool together = !in.documents.defined() || in.documents[b][t].item<int64_t>() == in.documents[b][s].item<int64_t>();
        if (key != query && !(near && together)) continue;
        for (int64_t h = 0; h < heads; ++h)
          table[b][h][t][s] = in.slopes.defined() ? in.slopes[h].item<float>() * static_cast<float>(key - query) : 0.0F;
      }
  return table;
}

// A token's queries that share keys are attended together in bfloat16: at most twice the error of LibTorch's own, whatever the mask.
TEST(Attend, OneTokenOfSharedKeysEqualsItsDefinition) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(5);
  const auto q = torch::randn({2, 6, 1, 16}), k = torch::randn({2, 2, 40, 16}), v = torch::randn({2, 2, 40, 16});
  auto hidden = torch::zeros({2, 1, 1, 40});
  hidden[1].slice(2, 0, 7).fill_(-INFINITY);
  for (const bool padded : {false, true}) {
    const auto scores = torch::matmul(q * 0.3, k.repeat_interleave(3, 1).transpose(2, 3)) + (padded ? hidden : torch::zeros({1}));
    const auto wanted = torch::matmul(scores.softmax(-1), v.repeat_interleave(3, 1)).transpose(1, 2).reshape({2, 1, 96});
    const auto half = [](const torch::Tensor& t) { return t.to(torch::kBFloat16); };
    const auto plain = at::scaled_dot_product_attention(half(q), half(k).repeat_interleave(3, 1), half(v).repeat_interleave(3, 1),
                                                        padded ? std::optional(half(hidden)) : std::nullopt, 0.0, false, 0.3);
    const auto error = [&](const torch::Tensor& t) { return (t.to(torch::kFloat32) - wanted).abs().max().item<double>(); };
    AttentionMask mask;
    if (padded) mask.additive = half(hidden);
    EXPECT_LE(error(attend(half(q), half(k), half(v), mask, 0.3)), 2 * error(plain.transpose(1, 2).reshape({2, 1, 96})) + 1e-3) << padded;
    mask.additive = padded ? hidden : torch::Tensor();
    EXPECT_LE(error(attend(q, k, v, mask, 0.3)), 1e-5);
  }
}

// Bloom's, whose rule is the paper's code: those of the power of two below, then every other one of twice as many heads.
TEST(Alibi, SlopesAreThePapers) {
  const auto expect = [](int64_t heads, const std::vector<double>& exponents) {
    const auto slopes = alibi_slopes(heads);
    ASSERT_EQ(slopes.size(0), heads);
    for (int64_t i = 0; i < heads; ++i) EXPECT_FLOAT_EQ(slopes[i].item<float>(), static_cast<float>(std::exp2(exponents[i]))) << i;
  };
  expect(1, {-8});
  expect(8, {-1, -2, -3, -4, -5, -6, -7, -8});
  expect(12, {-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5});
  std::vector<double> forty;
  for (int i = 1; i <= 32; ++i) forty.push_back(-0.25 * i);
  for (int i = 1; i <= 15; i += 2) forty.push_back(-0.125 * i);
  expect(40, forty);
  EXPECT_THROW(alibi_slopes(0), InputError);
}

// Padding is not counted: of two real tokens only those between them are.
TEST(Alibi, DistancesCountRealTokens) {
  const auto real = torch::tensor({{0, 1, 1, 0, 1}, {1, 1, 1, 1, 1}}).to(torch::kBool);
  const auto mask = attention_mask({.batch = 2, .tokens = 1, .past = 4, .keys = 5, .real = real, .slopes = torch::tensor({0.5F, 0.25F})},
                                   torch::kFloat32, torch::kCPU);
  constexpr float none = -INFINITY;
  EXPECT_TRUE(torch::equal(mask.additive, torch::tensor({none,  -1.0F, -0.5F, none,  0.0F, none,  -0.5F,  -0.25F, none,   0.0F,  //
                                                         -2.0F, -1.5F, -1.0F, -0.5F, 0.0F, -1.0F, -0.75F, -0.5F,  -0.25F, 0.0F})
                                              .view({2, 2, 1, 5})));
}

TEST(Attend, LongPromptsSeeWhatTheirMaskSays) {
  torch::manual_seed(7);
  const auto runs = torch::arange(70).div(30, "floor").unsqueeze(0).repeat({2, 1}).to(torch::kInt64);
  const auto scattered = torch::arange(70).remainder(3).unsqueeze(0).repeat({2, 1}).to(torch::kInt64);
  std::vector<MaskInputs> cases{{.batch = 2, .tokens = 70, .past = 0, .keys = 70},
                                {.batch = 2, .tokens = 70, .past = 30, .keys = 100},
                                {.batch = 2, .tokens = 70, .past = 0, .keys = 70, .window = 9},
                                {.batch = 2, .tokens = 70, .past = 30, .keys = 80, .window = 11},
                                {.batch = 2, .tokens = 70, .past = 0, .keys = 70, .window = 0, .real = {}, .documents = runs},
                                {.batch = 2, .tokens = 70, .past = 0, .keys = 70, .window = 5, .real = {}, .documents = runs},
                                {.batch = 2, .tokens = 70, .past = 0, .keys = 70, .window = 0, .real = {}, .documents = scattered}};
  const size_t plain = cases.size();
  for (size_t i = 0; i < plain; ++i) {
    cases.push_back(cases[i]);
    cases.back().slopes = torch::tensor({0.7F, 0.3F, 0.05F, 0.01F});
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& in = cases[i];
    const auto q = torch::randn({2, 4, 70, 8}), k = torch::randn({2, 2, in.keys, 8}), v = torch::randn({2, 2, in.keys, 8});
    const auto mask = attention_mask(in, torch::kFloat32, torch::kCPU);
    EXPECT_EQ(mask.causal, i % plain != 6) << "a document in pieces needs a table, case " << i;
    const auto expected = attend(q, k, v, {.causal = false, .low = {}, .slopes = {}, .additive = table_of(in)}, 0.3);
    EXPECT_TRUE(torch::allclose(attend(q, k, v, mask, 0.3), expected, 1e-5, 1e-5)) << "case " << i;
    // LibTorch's kernel sees the same, where ours is not taken.
    const auto wide = [](const torch::Tensor& t) { return t.to(torch::kDouble); };
    AttentionMask same = mask;
    if (same.additive.defined()) same.additive = wide(same.additive);
    EXPECT_TRUE(torch::allclose(attend(wide(q), wide(k), wide(v), same, 0.3), wide(expected), 1e-5, 1e-5)) << "case " << i << ", double";
  }
}

}  // namespace tessera::nn
