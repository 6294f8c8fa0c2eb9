// Fifty steps against torch.optim, Transformers and galore-torch: golden/optim.safetensors, written by tests/parity/optim.py.
#include <cmath>

#include "tessera/kernels/adam8bit.h"
#include "tessera/tensor/weights.h"
#include "tests/train/optim_cases.h"

namespace tessera::train {
namespace {

struct ParityCase {
  std::string golden;
  OptimOptions options;
  double weight_decay = 0.0;
};

OptimOptions galore_parity(std::string name, Projection projection = Projection::standard) {
  return {.name = std::move(name), .rank = 4, .gap = 10, .scale = 0.25, .projection = projection, .svd = Svd::exact};
}

std::vector<ParityCase> parity_cases() {
  return {
      {"adamw", {.name = "adamw"}, 0.1},
      {"sgd", {.name = "sgd"}},
      {"sgd_nesterov", {.name = "sgd", .momentum = 0.8, .nesterov = true}},
      {"muon", {.name = "muon"}, 0.1},
      {"muon_spectral", {.name = "muon", .nesterov = false, .muon_rate = MuonRate::spectral}},
      {"adafactor", {.name = "adafactor"}, 0.1},
      {"adafactor_relative", {.name = "adafactor", .beta1 = 0.9, .scale_parameter = true, .relative_step = true}},
      {"galore_adamw", galore_parity("galore-adamw")},
      {"galore_adamw_decay", galore_parity("galore-adamw"), 0.1},
      {"galore_adamw_reverse", galore_parity("galore-adamw", Projection::reverse_standard)},
      {"galore_adamw_full", galore_parity("galore-adamw", Projection::full)},
      {"galore_adafactor", galore_parity("galore-adafactor")},
      {"galore_adafactor_decay", galore_parity("galore-adafactor"), 0.1},
  };
}

class OptimParity : public testing::TestWithParam<ParityCase> {};

TEST_P(OptimParity, FiftyStepsEqualTheReference) {
  const auto golden = tensor::Weights::open(std::string(TESSERA_SOURCE_DIR) + "/tests/parity/golden/optim.safetensors");
  for (const char* key : {"12x7", "7x12", "9x9", "20x5", "6x30", "16x15"}) {
    const auto at = [&](const std::string& name) { return golden.load(name).clone(); };
    std::array<torch::Tensor, 3> base;
    for (int i = 0; i < 3; ++i) base[i] = at(fmt::format("base.{}.{}", key, i));
    std::vector<Parameter> parameters{
        {.name = key, .value = at(fmt::format("start.{}", key)), .weight_decay = GetParam().weight_decay, .matrix = true}};
    auto optimizer = make_optimizer(GetParam().options, parameters);
    for (int64_t t = 1; t <= 50; ++t) {
      const auto x = static_cast<double>(t);
      const torch::Tensor grad = base[0] * std::cos(x) + base[1] * std::sin(1.3 * x) + base[2] * std::cos(0.7 * x + 1);
      optimizer->update({{0}}, {&grad, 1}, {.step = t, .lr = 0.01});
    }
    const auto wanted = at(fmt::format("{}.{}", GetParam().golden, key));
    const double error = (parameters[0].value - wanted).abs().max().item<double>() / wanted.abs().max().item<double>();
    EXPECT_LE(error, 1e-4) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, OptimParity, testing::ValuesIn(parity_cases()), [](const auto& info) { return info.param.golden; });

TEST(OptimParityMap, IsBitsandbytes) {
  const auto golden = tensor::Weights::open(std::string(TESSERA_SOURCE_DIR) + "/tests/parity/golden/optim.safetensors");
  for (bool with_sign : {true, false}) {
    const auto map = kernels::dynamic_map(with_sign);
    const auto ours = torch::tensor(std::vector<float>(map.begin(), map.end()));
    EXPECT_TRUE(torch::allclose(ours, golden.load(with_sign ? "map.signed" : "map.unsigned"), 1e-6, 1e-12)) << with_sign;
  }
}

}  // namespace
}  // namespace tessera::train
