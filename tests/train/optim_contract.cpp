// What the contract of train/optimizer.h promises, for every name of the registry.
#include "tests/train/optim_cases.h"
#include "tests/train/other_device.h"

namespace tessera::train {
namespace {

class EveryOptimizer : public testing::TestWithParam<std::string> {};

TEST_P(EveryOptimizer, ContinuesASavedStateBitForBit) { expect_exact_resume({.name = GetParam()}); }

TEST_P(EveryOptimizer, GivesTheSameBitsInOneCallOrMany) { expect_split_calls_agree({.name = GetParam()}); }

TEST_P(EveryOptimizer, SaysItsStateBytesBeforeAnythingIsMade) { expect_exact_state_bytes({.name = GetParam()}); }

TEST_P(EveryOptimizer, BringsAQuadraticDown) {
  torch::manual_seed(3);
  const auto target = torch::randn({24, 16});
  std::vector<Parameter> parameters{{.name = "w", .value = torch::zeros({24, 16}), .matrix = true}};
  auto optimizer = make_optimizer({.name = GetParam()}, parameters);
  const auto loss = [&] { return (parameters[0].value - target).square().mean().item<double>(); };
  const double before = loss();
  for (int64_t step = 1; step <= 100; ++step) {
    const torch::Tensor grad = parameters[0].value - target;
    optimizer->update({{0}}, {&grad, 1}, {.step = step, .lr = 0.02});
  }
  EXPECT_LT(loss(), 0.6 * before);
}

TEST_P(EveryOptimizer, DecaysByLrTimesWeightDecayApartFromTheGradient) {
  auto without = make_optimizer({.name = GetParam()}, optim_parameters(1, 0.0)),
       with = make_optimizer({.name = GetParam()}, optim_parameters(1, 0.5));
  const auto start = optim_parameters(1, 0.0);
  optim_run(*without, 1, 1, 0.01);
  optim_run(*with, 1, 1, 0.01);
  for (size_t i = 0; i < start.size(); ++i) {
    const auto& parameter = with->parameters()[i];
    const auto difference = without->parameters()[i].value - parameter.value;
    const auto expected = start[i].value * (0.01 * parameter.lr_scale * parameter.weight_decay);
    EXPECT_TRUE(torch::allclose(difference, expected, 0.05, 3e-4)) << parameter.name;
  }
}

TEST_P(EveryOptimizer, TakesBfloat16Gradients) {
  auto full = make_optimizer({.name = GetParam()}, optim_parameters()), half = make_optimizer({.name = GetParam()}, optim_parameters());
  for (size_t i = 0; i < full->parameters().size(); ++i) {
    const auto grad = optim_gradients(full->parameters(), 1)[i].to(torch::kBFloat16), wide = grad.to(torch::kFloat32);
    full->update({{i}}, {&wide, 1}, {.step = 1, .lr = 0.01});
    half->update({{i}}, {&grad, 1}, {.step = 1, .lr = 0.01});
  }
  expect_same_values(*full, *half);
}

TEST_P(EveryOptimizer, MovesAnotherDeviceAsItMovesTheCpu) {
  auto there = optim_parameters();
  for (auto& parameter : there) parameter.value = parameter.value.to(other_device());
  auto ours = make_optimizer({.name = GetParam()}, there), cpu = make_optimizer({.name = GetParam()}, optim_parameters());
  for (int64_t step = 1; step <= 3; ++step) {
    auto grads = optim_gradients(there, step);
    for (auto& grad : grads) grad = grad.to(other_device());
    ours->update({{0, 1, 2, 3, 4}}, grads, {.step = step, .lr = 0.01});
  }
  optim_run(*cpu, 1, 3);
  for (size_t i = 0; i < there.size(); ++i) {
    EXPECT_EQ(there[i].value.device(), other_device());
    EXPECT_TRUE(torch::allclose(there[i].value.cpu(), cpu->parameters()[i].value, 1e-4, 1e-5)) << there[i].name;
  }
}

TEST_P(EveryOptimizer, RefusesAStateOfOtherNamesOrShapes) {
  auto optimizer = make_optimizer({.name = GetParam()}, optim_parameters());
  optim_run(*optimizer, 1, 1);
  auto state = optimizer->state(1);
  if (state.empty()) GTEST_SKIP() << "keeps no state";
  auto other = make_optimizer({.name = GetParam()}, optim_parameters());
  auto renamed = state;
  renamed[0].first = "nothing";
  EXPECT_THAT(optim_error([&] { other->load_state(1, renamed); }), testing::StartsWith("up.weight: the saved optimizer state has no "));
  auto reshaped = state;
  reshaped.back().second = torch::zeros({3});
  EXPECT_THAT(optim_error([&] { other->load_state(1, reshaped); }),
              testing::StartsWith("up.weight: the saved " + state.back().first + " is "));
  state.pop_back();
  EXPECT_THAT(optim_error([&] { other->load_state(1, state); }), testing::StartsWith("up.weight: the saved optimizer state has "));
}

std::vector<std::string> every_name() {
  std::vector<std::string> names;
  for (const auto& each : optim_names()) names.push_back(each.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOptimizer, testing::ValuesIn(every_name()), [](const auto& info) {
  auto name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(OptimRegistry, AnswersAnUnknownNameWithTheNearest) {
  EXPECT_EQ(optim_error([] { make_optimizer({.name = "adamv"}, optim_parameters()); }),
            "--optim adamv: no such optimizer; did you mean adamw?");
  EXPECT_THAT(optim_error([] { optim_name("zzzzzzzzzzzz"); }),
              testing::StartsWith("--optim zzzzzzzzzzzz: no such optimizer; give one of adamw"));
}

TEST(OptimRegistry, RefusesAFieldThatTheRuleDoesNotRead) {
  EXPECT_EQ(optim_error([] { check_optim_options({.name = "adamw", .rank = 4}); }),
            "--rank says nothing to --optim adamw; it takes beta1, beta2, eps, state-dtype");
}

TEST(OptimRegistry, RefusesValuesOutOfRange) {
  EXPECT_EQ(optim_error([] { check_optim_options({.beta1 = 1.0}); }), "--beta1 1: expected a share; give 0 or more and below 1");
  EXPECT_EQ(optim_error([] { check_optim_options({.eps = 0.0}); }), "--eps 0: expected a positive number; give one above 0");
}

TEST(OptimContract, CodesOfEightBitsAreForTheCpu) {
  auto optimizer = make_optimizer({.name = "adamw8bit"}, {{.name = "w", .value = torch::zeros({128, 128}).to(other_device())}});
  const auto grad = torch::ones({128, 128}).to(other_device());
  EXPECT_EQ(
      optim_error([&] {
        optimizer->update({{0}}, {&grad, 1}, {.step = 1});
      }),
      "adam8_step of a gradient [128, 128]; expected dense tensors on the CPU, a uint8 code an element and a float32 maximum a block");
}

TEST(OptimContract, NamesTheParameterWhoseGradientHasAnotherShape) {
  auto optimizer = make_optimizer({}, optim_parameters());
  const auto grad = torch::zeros({12, 21});
  EXPECT_EQ(optim_error([&] {
              optimizer->update({{1}}, {&grad, 1}, {});
            }),
            "up.weight is [20, 12] and its gradient [12, 21]; expected one shape");
}

}  // namespace
}  // namespace tessera::train
