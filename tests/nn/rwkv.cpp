#include "tessera/nn/rwkv.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"

namespace tessera::nn {
namespace {

Rwkv tiny_rwkv() {
  torch::NoGradGuard no_gradient;
  torch::manual_seed(3);
  Rwkv model(RwkvConfig{.vocab = 37, .width = 20, .depth = 4, .attention = 22, .inner = 33});
  for (auto& parameter : model->parameters()) parameter.normal_(0, 0.4);
  return model;
}

WkvInputs random_wkv(int64_t batch, int64_t tokens, int64_t channels) {
  const auto of = [](torch::IntArrayRef shape) { return torch::randn(shape, torch::kDouble); };
  return {.key = 3 * of({batch, tokens, channels}),
          .value = of({batch, tokens, channels}),
          .decay = -torch::exp(of({channels})),
          .first = of({channels}),
          .state = {of({batch, channels}), of({batch, channels}).abs() + 0.1, of({batch, channels})}};
}

WkvInputs in_float(const WkvInputs& in) {
  const auto f = [](const torch::Tensor& t) { return t.to(torch::kFloat); };
  return {f(in.key), f(in.value), f(in.decay), f(in.first), {f(in.state.numerator), f(in.state.denominator), f(in.state.exponent)}};
}

TEST(Wkv, EqualsTheSumsOfItsDefinition) {
  torch::manual_seed(4);
  auto in = random_wkv(2, 7, 5);
  in.state = {};
  const auto y = wkv_loop(in).y;
  for (int64_t t = 0; t < 7; ++t) {
    auto top = torch::exp(in.key.select(1, t) + in.first) * in.value.select(1, t), bottom = torch::exp(in.key.select(1, t) + in.first);
    for (int64_t i = 0; i < t; ++i) {
      const auto weight = torch::exp(in.key.select(1, i) + static_cast<double>(t - 1 - i) * in.decay);
      top = top + weight * in.value.select(1, i);
      bottom = bottom + weight;
    }
    EXPECT_TRUE(torch::allclose(y.select(1, t), top / bottom, 1e-10, 1e-12)) << t;
  }
}

TEST(Wkv, ErrsAtMostTwiceAsMuchAsItsLoopInFp32) {
  torch::NoGradGuard no_gradient;
  const int before = at::get_num_threads();
  for (const auto& [threads, batch, tokens, channels] :
       {std::array<int64_t, 4>{1, 1, 1, 1}, {1, 2, 19, 16}, {2, 2, 19, 17}, {2, 1, 33, 40}, {4, 3, 7, 15}, {16, 1, 5, 33}}) {
    at::set_num_threads(static_cast<int>(threads));
    torch::manual_seed(channels);
    const auto in = random_wkv(batch, tokens, channels);
    const auto exact = wkv_loop(in), plain = wkv_loop(in_float(in)), ours = wkv(in_float(in));
    const auto held = [&](const torch::Tensor& e, const torch::Tensor& p, const torch::Tensor& o, const char* what) {
      const auto worst = [&](const torch::Tensor& t) { return (t - e).abs().max().item<double>(); };
      EXPECT_LE(worst(o), 2 * worst(p) + 2e-6 * e.abs().max().item<double>()) << what << " at " << channels << " channels";
    };
    held(exact.y, plain.y, ours.y, "y");
    held(exact.state.numerator, plain.state.numerator, ours.state.numerator, "numerator");
    held(exact.state.denominator, plain.state.denominator, ours.state.denominator, "denominator");
    held(exact.state.exponent, plain.state.exponent, ours.state.exponent, "exponent");
  }
  at::set_num_threads(before);
}

TEST(Wkv, KeysOfAnySizeStayFinite) {
  torch::NoGradGuard no_gradient;
  auto in = in_float(random_wkv(1, 12, 18));
  in.state = {};
  for (float size : {-200.0F, 200.0F}) {
    in.key.fill_(size);
    in.key.slice(1, 4, 6).mul_(-1);
    EXPECT_TRUE(torch::isfinite(wkv(in).y).all().item<bool>()) << size;
    EXPECT_TRUE(torch::allclose(wkv(in).y, wkv_loop(in).y, 1e-4, 1e-5)) << size;
  }
}

TEST(Wkv, LeavesTheStateItWasGivenAlone) {
  torch::NoGradGuard no_gradient;
  const auto in = in_float(random_wkv(1, 3, 4));
  const auto before = in.state.numerator.clone();
  wkv(in);
  EXPECT_TRUE(torch::equal(in.state.numerator, before));
}

TEST(Wkv, NamesTheOperandThatDoesNotFit) {
  auto in = random_wkv(1, 3, 4);
  in.first = torch::zeros({5});
  try {
    wkv(in);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "wkv: first is [5], key asks for [4]; give equal sizes");
  }
}

TEST(Rwkv, TokenByTokenEqualsAllAtOnce) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_rwkv();
  torch::manual_seed(2);
  const auto ids = torch::randint(37, {2, 11}, torch::kLong);
  const auto whole = model->forward(ids);
  std::vector<RwkvState> states;
  std::vector<torch::Tensor> parts = {model->forward(ids.slice(1, 0, 4), &states)};
  for (int64_t t = 4; t < 11; ++t) parts.push_back(model->forward(ids.slice(1, t, t + 1), &states));
  EXPECT_TRUE(torch::allclose(torch::cat(parts, 1), whole, 1e-4, 1e-5));
}

TEST(Rwkv, GradientsDoNotChangeTheValues) {
  auto model = tiny_rwkv();
  const auto ids = torch::arange(9).unsqueeze(0);
  const auto with = model->forward(ids);
  torch::NoGradGuard no_gradient;
  EXPECT_TRUE(torch::allclose(model->forward(ids), with, 1e-4, 1e-5));
}

TEST(Rwkv, RemovalRenumbersBlocksAndTheirStatesAndKeepsTheFirstNorm) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_rwkv();
  const auto ids = torch::arange(9).unsqueeze(0);
  auto x = model->embed(ids);
  for (int64_t i : {1, 3}) x = model->block(i)->forward(x);
  const auto by_hand = model->logits(model->final_norm(x));
  model->remove_blocks({0, 2});
  EXPECT_EQ(model->depth(), 2);
  EXPECT_TRUE(torch::equal(model->forward(ids), by_hand));
  const auto parameters = model->named_parameters();
  EXPECT_TRUE(parameters.contains("rwkv.blocks.0.pre_ln.weight"));
  EXPECT_FALSE(parameters.contains("rwkv.blocks.1.pre_ln.weight"));
  EXPECT_TRUE(parameters.contains("rwkv.blocks.1.attention.time_decay"));
  EXPECT_FALSE(parameters.contains("rwkv.blocks.2.attention.time_decay"));
  std::vector<RwkvState> states;
  std::vector<torch::Tensor> parts;
  for (int64_t t = 0; t < 9; ++t) parts.push_back(model->forward(ids.slice(1, t, t + 1), &states));
  EXPECT_EQ(states.size(), 2U);
  EXPECT_TRUE(torch::allclose(torch::cat(parts, 1), by_hand, 1e-4, 1e-5));
  std::vector<RwkvState> stale(4);
  EXPECT_THROW(model->forward(ids, &stale), InputError);
}

TEST(Rwkv, RefusesWhatIsNotThere) {
  auto model = tiny_rwkv();
  EXPECT_THROW(model->remove_blocks({4}), InputError);
  EXPECT_THROW(model->remove_blocks({1, 1}), InputError);
  EXPECT_THROW(model->remove_blocks({0, 1, 2, 3}), InputError);
  EXPECT_THROW(parse_rwkv_config({{"hidden_size", 4}}), InputError);
  EXPECT_THROW(parse_rwkv_config({{"hidden_size", "wide"}, {"vocab_size", 3}, {"num_hidden_layers", 1}}), InputError);
  EXPECT_THROW(parse_rwkv_config({{"hidden_size", 4}, {"vocab_size", 3}, {"num_hidden_layers", 1}, {"layer_norm_epsilon", "x"}}),
               InputError);
}

}  // namespace
}  // namespace tessera::nn
