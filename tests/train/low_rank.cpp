#include "tessera/train/low_rank.h"

#include <gtest/gtest.h>

#include "tessera/train/lora.h"
#include "tessera/train/optim/registry.h"
#include "tests/train/other_device.h"
#include "tests/train/small_llama.h"

namespace tessera::train {
namespace {

const torch::Tensor low_rank_ids = torch::arange(24, torch::kInt64).view({2, 12});

TEST(LowRank, MakesEveryLinearLayerAProductOfTheSizeOfAFreshWeight) {
  auto model = small_untied_llama();
  make_low_rank(*model, {.rank = 8, .std = 0.02, .seed = 3});
  int64_t layers = 0;
  for (const auto& named : model->named_modules("", false)) {
    auto layer = std::dynamic_pointer_cast<nn::LinearImpl>(named.value());
    if (!layer || !layer->low_rank) continue;
    ++layers;
    EXPECT_EQ(layer->weight.abs().max().item<double>(), 0.0);
    EXPECT_FALSE(layer->weight.requires_grad());
    const auto product = torch::mm(layer->low_rank->b, layer->low_rank->a) * layer->low_rank->scale;
    EXPECT_NEAR(product.std().item<double>(), 0.02, 0.006) << named.key();
  }
  EXPECT_EQ(layers, 14);
  EXPECT_EQ(lora_parameters(*model).size(), 28U);
}

TEST(LowRank, DrawsTheSameFactorsOnAnyDevice) {
  auto here = small_untied_llama(), there = small_untied_llama();
  there->to(other_device());
  make_low_rank(*here, {.rank = 8, .std = 0.02, .seed = 3});
  make_low_rank(*there, {.rank = 8, .std = 0.02, .seed = 3});
  const auto ours = lora_parameters(*here), theirs = lora_parameters(*there);
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(theirs[i].value.device(), other_device()) << theirs[i].name;
    EXPECT_TRUE(theirs[i].value.cpu().equal(ours[i].value)) << theirs[i].name;
  }
}

static void expect_restart_keeps_the_function(torch::Device device) {
  auto model = small_untied_llama();
  model->to(device);
  add_lora(*model, {.rank = 4, .alpha = 8, .seed = 1});
  auto parameters = lora_parameters(*model);
  auto optimizer = make_optimizer({}, parameters);
  torch::manual_seed(1);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto grad = torch::randn(parameters[i].value.sizes()).to(device);
    optimizer->update({{i}}, {&grad, 1}, {.step = 1, .lr = 0.05});
  }
  torch::NoGradGuard no_grad;
  const auto before = model->forward(low_rank_ids.to(device));
  restart_lora(*model, *optimizer, 7, 0.01);
  const auto after = model->forward(low_rank_ids.to(device));
  EXPECT_LE((before - after).abs().max().item<double>(), 1e-4 * before.abs().max().item<double>());
  int64_t zero = 0, all = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (const auto& [name, tensor] : optimizer->state(i)) {
      if (name == "step") continue;
      zero += tensor.eq(0).sum().item<int64_t>();
      all += tensor.numel();
    }
    const double size = parameters[i].value.abs().max().item<double>();
    EXPECT_EQ(size == 0.0, parameters[i].name.ends_with("lora_B.weight")) << parameters[i].name;
  }
  EXPECT_GE(zero, all * 98 / 100);
  EXPECT_LT(zero, all);
}

TEST(LowRank, ARestartMovesTheProductIntoTheWeightAndKeepsTheFunction) { expect_restart_keeps_the_function(torch::kCPU); }

TEST(LowRank, ARestartDoesSoOnAnotherDevice) { expect_restart_keeps_the_function(other_device()); }

}  // namespace
}  // namespace tessera::train
