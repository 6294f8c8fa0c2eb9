#include "tessera/train/lora.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tessera/lm/model.h"
#include "tessera/tensor/weights.h"
#include "tests/train/thrown.h"

namespace tessera::train {

namespace {

lm::Transformer tiny_model(uint64_t seed = 1) {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 50},
                                          {"hidden_size", 32},
                                          {"intermediate_size", 48},
                                          {"num_hidden_layers", 2},
                                          {"num_attention_heads", 4},
                                          {"num_key_value_heads", 2}}));
  lm::init_weights(model, seed);
  model->fuse();
  return model;
}

torch::Tensor ids() { return torch::arange(24).view({2, 12}).remainder(50); }

// One step that moves A and B away from their start.
void disturb(lm::Transformer& model) {
  torch::NoGradGuard no_gradient;
  torch::manual_seed(3);
  for (auto& parameter : lora_parameters(*model)) parameter.value.add_(torch::randn_like(parameter.value), 0.1);
}

struct Scratch {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "tessera-lora-test";
  Scratch() { std::filesystem::remove_all(path), std::filesystem::create_directories(path); }
  ~Scratch() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST(Lora, StartsAsTheModelAndTrainsItsAdaptersAlone) {
  auto model = tiny_model();
  const auto before = model->forward(ids()).detach();
  add_lora(*model, {.rank = 4, .alpha = 16});
  const auto parameters = lora_parameters(*model);
  ASSERT_EQ(parameters.size(), 2u * 2u * 7u);  // 2 layers, 7 linear layers each
  EXPECT_EQ(parameters[0].name, "model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(parameters[1].value.sizes(), (std::vector<int64_t>{32, 4}));
  const auto after = model->forward(ids());
  EXPECT_TRUE(torch::equal(after.detach(), before));
  after.square().mean().backward();
  for (const auto& parameter : model->parameters()) EXPECT_FALSE(parameter.grad().defined());
  EXPECT_GT(parameters[1].value.grad().abs().sum().item<float>(), 0.0f) << "B moves first";
  EXPECT_EQ(parameters[0].value.grad().abs().sum().item<float>(), 0.0f) << "A has no gradient while B is 0";
  auto layer = model->block(0)->self_attn->q_proj;
  EXPECT_EQ(layer->low_rank->scale, 4.0);
}

TEST(Lora, MergingKeepsTheOutputAndTheReferenceIsTheModelWithoutAdapters) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model();
  const auto base = model->forward(ids());
  add_lora(*model, {.rank = 4, .alpha = 8, .targets = {"q_proj", "down_proj"}});
  disturb(model);
  const auto adapted = model->forward(ids());
  EXPECT_GT((adapted - base).abs().max().item<float>(), 1e-3f);
  {
    LoraOff off(*model);
    EXPECT_TRUE(torch::equal(model->forward(ids()), base));
  }
  EXPECT_TRUE(torch::equal(model->forward(ids()), adapted));
  merge_lora(*model);
  EXPECT_TRUE(lora_parameters(*model).empty());
  EXPECT_LT((model->forward(ids()) - adapted).abs().max().item<float>(), 1e-5f);
}

TEST(Lora, ComesBackFromItsFolderWithPeftsNames) {
  torch::NoGradGuard no_gradient;
  Scratch scratch;
  auto model = tiny_model();
  add_lora(*model, {.rank = 3, .alpha = 6, .targets = {"v_proj", "up_proj"}, .seed = 5});
  disturb(model);
  const auto adapted = model->forward(ids());
  save_lora(*model, scratch.path, "base");
  const auto weights = tensor::Weights::open(scratch.path / "adapter_model.safetensors");
  EXPECT_EQ(weights.tensors().size(), 8u);
  EXPECT_EQ(weights.info("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight").shape, (std::vector<int64_t>{48, 3}));
  auto other = tiny_model();
  load_lora(*other, scratch.path);
  EXPECT_TRUE(torch::equal(other->forward(ids()), adapted));
}

TEST(Lora, TheDrawFollowsSeedAndPathAlone) {
  auto one = tiny_model(1), two = tiny_model(2);
  add_lora(*one, {.rank = 4, .targets = {"q_proj"}, .seed = 9});
  add_lora(*two, {.rank = 4, .seed = 9});
  const auto a = one->block(1)->self_attn->q_proj->low_rank->a, b = two->block(1)->self_attn->q_proj->low_rank->a;
  EXPECT_TRUE(torch::equal(a, b));
  EXPECT_LE(a.abs().max().item<float>(), 1.0f / std::sqrt(32.0f));
  EXPECT_FALSE(torch::equal(a, one->block(0)->self_attn->q_proj->low_rank->a));
}

TEST(Lora, RefusesWhatDoesNotFit) {
  Scratch scratch;
  auto model = tiny_model();
  EXPECT_EQ(input_error_of([&] { add_lora(*model, {.targets = {"qproj"}}); }),
            "LoRA target qproj: the model has no such linear layer; its layers are down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, "
            "v_proj");
  EXPECT_EQ(input_error_of([&] { add_lora(*model, {.rank = 20}); }),
            "LoRA rank 20: model.layers.0.self_attn.k_proj is [16, 32] and has rank 16 at most; give a smaller rank");
  EXPECT_TRUE(model->parameters()[0].requires_grad()) << "a refused call changes nothing";
  add_lora(*model, {.rank = 2, .targets = {"q_proj"}});
  EXPECT_EQ(input_error_of([&] { add_lora(*model, {}); }), "the model has LoRA adapters already; merge or remove them first");
  save_lora(*model, scratch.path, "base");
  lm::Transformer narrow(lm::fresh_config({{"model_type", "llama"},
                                           {"vocab_size", 50},
                                           {"hidden_size", 16},
                                           {"intermediate_size", 48},
                                           {"num_hidden_layers", 2},
                                           {"num_attention_heads", 4}}));
  EXPECT_NE(
      input_error_of([&] { load_lora(*narrow, scratch.path); }).find("is [2, 32], expected [2, 16]; is it an adapter of another model?"),
      std::string::npos);
}

}  // namespace tessera::train
