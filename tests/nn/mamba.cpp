#include "tessera/nn/mamba.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/nn/mamba_scan.h"

namespace tessera::nn {
namespace {

MambaConfig tiny() {
  return {.vocab = 37,
          .width = 20,
          .depth = 4,
          .channels = 40,
          .states = 5,
          .convolution = 4,
          .rank = 3,
          .norm_eps = 1e-5,
          .bias = false,
          .conv_bias = true};
}

Mamba tiny_model() {
  Mamba model(tiny());
  model->init(3, 0.3);
  return model;
}

ScanInputs random_scan(int64_t batch, int64_t tokens, int64_t channels, int64_t states, torch::Dtype type) {
  const auto of = [&](torch::IntArrayRef shape) { return torch::randn(shape).to(type); };
  return {.u = of({batch, tokens, channels}),
          .dt = torch::softplus(of({batch, tokens, channels})),
          .a = -torch::exp(of({channels, states})),
          .b = of({batch, tokens, states}),
          .c = of({batch, tokens, states}),
          .d = of({channels}),
          .state = of({batch, channels, states})};
}

ScanInputs converted(const ScanInputs& in, torch::Dtype type) {
  const auto leaf = [&](const torch::Tensor& t) { return t.detach().clone().to(type).requires_grad_(true); };
  return {leaf(in.u), leaf(in.dt), leaf(in.a), leaf(in.b), leaf(in.c), leaf(in.d), in.state.to(type)};
}

// y, the last state and the gradients of sum(y * weights), in that order.
std::vector<torch::Tensor> y_and_gradients(ScanOutputs (*scan)(const ScanInputs&), const ScanInputs& in) {
  const auto out = scan(in);
  torch::manual_seed(99);
  (out.y * torch::randn(out.y.sizes()).to(out.y.scalar_type())).sum().backward();
  return {out.y, out.state, in.u.grad(), in.dt.grad(), in.a.grad(), in.b.grad(), in.c.grad(), in.d.grad()};
}

TEST(SelectiveScan, ErrsAtMostTwiceAsMuchAsItsDefinitionInFp32) {
  const int before = at::get_num_threads();
  for (const auto& [threads, batch, tokens, channels, states] :
       {std::array<int64_t, 5>{1, 1, 1, 1, 1}, {1, 2, 19, 16, 4}, {2, 2, 19, 17, 16}, {2, 1, 33, 40, 5}, {4, 3, 7, 15, 3}}) {
    at::set_num_threads(static_cast<int>(threads));
    torch::manual_seed(channels);
    const auto in = random_scan(batch, tokens, channels, states, torch::kDouble);
    const auto exact = y_and_gradients(selective_scan_loop, converted(in, torch::kDouble));
    const auto plain = y_and_gradients(selective_scan_loop, converted(in, torch::kFloat));
    const auto ours = y_and_gradients(selective_scan, converted(in, torch::kFloat));
    for (size_t i = 0; i < exact.size(); ++i) {
      const auto worst = [&](const torch::Tensor& t) { return (t - exact[i]).abs().max().item<double>(); };
      EXPECT_LE(worst(ours[i]), 2 * worst(plain[i]) + 2e-6 * exact[i].abs().max().item<double>())
          << "0 y, 1 state, 2 du, 3 ddt, 4 da, 5 db, 6 dc, 7 dd: " << i << " at " << channels << " channels";
    }
  }
  at::set_num_threads(before);
}

TEST(SelectiveScan, ResultDoesNotDependOnTheNumberOfThreads) {
  torch::manual_seed(1);
  const auto in = random_scan(2, 20, 50, 16, torch::kFloat);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = y_and_gradients(selective_scan, converted(in, torch::kFloat));
  at::set_num_threads(3);
  const auto three = y_and_gradients(selective_scan, converted(in, torch::kFloat));
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(torch::equal(one[i], three[i])) << i;
}

TEST(SelectiveScan, NamesTheOperandThatDoesNotFit) {
  auto in = random_scan(1, 3, 4, 2, torch::kFloat);
  in.c = torch::zeros({1, 3, 5});
  try {
    selective_scan(in);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "selective scan: c is [1, 3, 5], u and a ask for [1, 3, 2]; give equal sizes");
  }
}

TEST(Mamba, TokenByTokenEqualsAllAtOnce) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model();
  torch::manual_seed(2);
  const auto ids = torch::randint(37, {2, 11}, torch::kLong);
  const auto whole = model->forward(ids);
  std::vector<MambaState> states;
  std::vector<torch::Tensor> parts = {model->forward(ids.slice(1, 0, 4), &states)};
  for (int64_t t = 4; t < 11; ++t) parts.push_back(model->forward(ids.slice(1, t, t + 1), &states));
  EXPECT_TRUE(torch::allclose(torch::cat(parts, 1), whole, 1e-4, 1e-5));
}

TEST(Mamba, RemovalRenumbersBlocksAndTheirStates) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model();
  const auto ids = torch::arange(9).unsqueeze(0);
  auto x = model->embed(ids);
  for (int64_t i : {0, 2}) x = model->block(i)->forward(x);
  const auto by_hand = model->logits(model->final_norm(x));
  model->remove_blocks({1, 3});
  EXPECT_EQ(model->depth(), 2);
  EXPECT_TRUE(torch::equal(model->forward(ids), by_hand));
  EXPECT_TRUE(model->named_parameters().contains("backbone.layers.1.mixer.A_log"));
  EXPECT_FALSE(model->named_parameters().contains("backbone.layers.2.mixer.A_log"));
  std::vector<MambaState> states;
  std::vector<torch::Tensor> parts;
  for (int64_t t = 0; t < 9; ++t) parts.push_back(model->forward(ids.slice(1, t, t + 1), &states));
  EXPECT_EQ(states.size(), 2U);
  EXPECT_TRUE(torch::allclose(torch::cat(parts, 1), by_hand, 1e-4, 1e-5));
  std::vector<MambaState> stale(4);
  EXPECT_THROW(model->forward(ids, &stale), InputError);
}

TEST(Mamba, RefusesBlocksThatAreNotThere) {
  auto model = tiny_model();
  EXPECT_THROW(model->remove_blocks({4}), InputError);
  EXPECT_THROW(model->remove_blocks({1, 1}), InputError);
  EXPECT_THROW(model->remove_blocks({0, 1, 2, 3}), InputError);
  EXPECT_THROW(parse_mamba_config({{"hidden_size", 4}}), InputError);
  EXPECT_THROW(parse_mamba_config({{"hidden_size", "wide"}, {"vocab_size", 3}}), InputError);
}

}  // namespace
}  // namespace tessera::nn
