// The public checkpoints' sizes and the layout of their tensors.

#include "tessera/methods/danube/layout.h"

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tests/methods/danube_model.h"

namespace tessera::danube {
namespace {

int64_t elements(const std::vector<LayoutTensor>& tensors) {
  int64_t all = 0;
  for (const auto& tensor : tensors) {
    int64_t size = 1;
    for (const int64_t side : tensor.shape) size *= side;
    all += size;
  }
  return all;
}

TEST(DanubeLayout, CountsThePublicModelsParameters) {
  const auto danube = lm::parse_config(public_config("h2oai/h2o-danube-1.8b-chat"));
  EXPECT_EQ(elements(layout_of(danube)), 1'831'201'280);
  EXPECT_EQ(lm::parameter_count(danube), 1'831'201'280);
  auto mistral = public_config("danube-1.8b-base");
  mistral["hidden_size"] = 4096;
  mistral["intermediate_size"] = 14336;
  mistral["num_hidden_layers"] = 32;
  EXPECT_EQ(elements(layout_of(lm::parse_config(mistral))), 7'241'732'096);
}

TEST(DanubeLayout, KnowsThePublicNamesAndTheirDifferences) {
  const auto first = lm::parse_config(public_config("danube-1.8b-sft")), second = lm::parse_config(public_config("h2o-danube2-1.8b-base"));
  EXPECT_EQ(first.window, 4096);
  EXPECT_EQ(first.max_positions, 16384);
  EXPECT_EQ(first.head_width, 80);
  EXPECT_EQ(second.window, 0);
  EXPECT_EQ(second.max_positions, 8192);
  EXPECT_FALSE(public_config("danube-1.8b-base").contains("pad_token_id"));
  EXPECT_EQ(public_config("danube-1.8b-chat")["pad_token_id"], 0);
  for (const char* other : {"danube-1.8b-other", "danube3-4b", "", "h2o-", "danube"}) EXPECT_TRUE(public_config(other).is_null()) << other;
}

TEST(DanubeLayout, NamesTheTensorsOfTheModelInMemory) {
  const auto model = small_mistral(100);
  const auto layout = layout_of(model->config());
  const auto parameters = model->named_parameters();
  ASSERT_EQ(layout.size(), parameters.size());
  for (const auto& tensor : layout) {
    const auto* found = parameters.find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->sizes().vec(), tensor.shape) << tensor.name;
  }
  EXPECT_TRUE(layout_differences(model->config(), layout).empty());
}

TEST(DanubeLayout, SaysWhatDiffers) {
  const auto config = small_mistral(100)->config();
  auto found = layout_of(config);
  found[1].shape = {31};
  found[2].name = "model.layers.0.extra.weight";
  EXPECT_THAT(layout_differences(config, found), testing::ElementsAre("model.layers.0.input_layernorm.weight is [31], expected [32]",
                                                                      "missing model.layers.0.post_attention_layernorm.weight [32]",
                                                                      "unknown model.layers.0.extra.weight [32]"));
}

TEST(DanubeLayout, AWindowBoundsTheCache) {
  const auto config = lm::parse_config(public_config("danube-1.8b-base"));
  EXPECT_EQ(lm::kv_bytes_per_token(config, 2), 61440);
  EXPECT_EQ(cache_bytes(config, 16384), int64_t{240} << 20);
  EXPECT_EQ(cache_bytes(config, 100), 6'144'000);
  EXPECT_EQ(cache_bytes(lm::parse_config(public_config("danube2-1.8b-base")), 16384), int64_t{960} << 20);
}

TEST(SetWindow, EqualsAModelConfiguredSo) {
  auto config = small_mistral(100, 1, 16)->config();
  lm::set_window(config, 4);
  lm::Transformer narrow(config);
  lm::init_weights(narrow, 1);
  auto made = small_mistral(100, 1, 4), wide = small_mistral(100, 1, 16), open = small_mistral(100, 1, 0);
  torch::NoGradGuard no_grad;
  const auto ids = torch::arange(40).view({1, 40});
  EXPECT_TRUE(torch::allclose(narrow->forward(ids), made->forward(ids), 1e-6, 1e-6));
  EXPECT_FALSE(torch::allclose(wide->forward(ids), made->forward(ids), 1e-4, 1e-4));
  EXPECT_EQ(open->config().window, 0) << "a window of 0 or less is none";
  lm::set_window(config, -1);
  lm::Transformer none(config);
  lm::init_weights(none, 1);
  EXPECT_TRUE(torch::allclose(none->forward(ids), open->forward(ids), 1e-6, 1e-6));
  auto mixed = config;
  mixed.layers[0].sliding = true;
  EXPECT_THROW(lm::set_window(mixed, 4), InputError) << "some layers slide and some do not";
  EXPECT_TRUE(wide->forward(ids.narrow(1, 0, 16)).equal(open->forward(ids.narrow(1, 0, 16))))
      << "a window as long as the text is plain causal";
}

}  // namespace
}  // namespace tessera::danube
