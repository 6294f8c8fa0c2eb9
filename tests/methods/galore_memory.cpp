#include "tessera/methods/galore/memory.h"

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tessera/lm/model.h"
#include "tessera/methods/galore/spectrum.h"

namespace tessera::galore {
namespace {

lm::ModelConfig llama(int64_t width, int64_t ffn, int64_t layers, int64_t heads, int64_t vocab = 32000) {
  return lm::fresh_config({{"model_type", "llama"},
                           {"vocab_size", vocab},
                           {"hidden_size", width},
                           {"intermediate_size", ffn},
                           {"num_hidden_layers", layers},
                           {"num_attention_heads", heads},
                           {"num_key_value_heads", heads},
                           {"max_position_embeddings", 2048},
                           {"rms_norm_eps", 1e-6},
                           {"tie_word_embeddings", false}});
}

TEST(GaLoreMemory, NamesEveryTensorOfAModel) {
  const auto config = llama(32, 48, 2, 2, 40);
  lm::Transformer model(config);
  const auto tensors = tensors_of(config);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& item : model->named_parameters()) shapes[item.key()] = item.value().sizes().vec();
  int64_t elements = 0, matrices = 0;
  for (const auto& tensor : tensors) {
    elements += tensor.elements();
    if (!tensor.matrix) continue;
    ++matrices;
    ASSERT_TRUE(shapes.contains(tensor.name)) << tensor.name;
    EXPECT_EQ(shapes[tensor.name], tensor.shape);
  }
  EXPECT_EQ(elements, lm::parameter_count(config));
  EXPECT_EQ(matrices, 14);
}

TEST(GaLoreMemory, AccountsForThe7BModelAsThePaper) {
  const auto tensors = tensors_of(llama(4096, 11008, 32, 32));
  MemoryOptions options{.optim = {.name = "adamw", .state_dtype = train::StateDtype::bfloat16}, .element = 2};
  const auto adam = memory_plan(tensors, options);
  EXPECT_NEAR(static_cast<double>(adam.elements) / 1e6, 6738.4, 0.05);
  EXPECT_NEAR(static_cast<double>(adam.matrix_elements) / 1e6, 6476.0, 0.05);
  EXPECT_NEAR(static_cast<double>(adam.state()) / 1e9, 26.95, 0.01);
  options.optim = {
      .name = "galore-adamw", .state_dtype = train::StateDtype::bfloat16, .rank = 1024, .projector_dtype = train::ProjectorDtype::bfloat16};
  const auto projected = memory_plan(tensors, options);
  EXPECT_NEAR(static_cast<double>(projected.projector_elements) / 1e6, 939.5, 0.05);
  EXPECT_NEAR(static_cast<double>(projected.state()) / 1e9, 9.41, 0.01);
  options.optim = {.name = "galore-adamw8bit", .rank = 1024, .projector_dtype = train::ProjectorDtype::bfloat16};
  EXPECT_NEAR(static_cast<double>(memory_plan(tensors, options).state()) / 1e9, 5.70, 0.01);
  options.optim.projector_dtype = train::ProjectorDtype::int8;
  EXPECT_NEAR(static_cast<double>(memory_plan(tensors, options).state()) / 1e9, 4.79, 0.01)
      << "4.70 GB and the maxima and scales of blocks";
  options.per_layer = true;
  EXPECT_EQ(memory_plan(tensors, options).gradients, 2 * 32000 * int64_t{4096});
}

TEST(GaLoreMemory, CountsTheSearchForASubspaceAtItsTime) {
  const auto tensors = tensors_of(llama(64, 96, 2, 2, 100));
  MemoryOptions options{.optim = {.name = "adamw"}};
  const auto adam = memory_plan(tensors, options);
  EXPECT_EQ(adam.workspace, 0);
  options.optim = {.name = "galore-adamw", .rank = 16, .svd = train::Svd::exact};
  auto plan = memory_plan(tensors, options);
  EXPECT_GT(plan.workspace, 4 * 64 * 96) << "a copy of a gradient, at least";
  EXPECT_EQ(plan.bytes(), plan.weights + plan.state() + plan.gradients + plan.workspace);
  options.model.activations = plan.gradients + plan.workspace - 10;
  EXPECT_EQ(memory_plan(tensors, options).bytes(), plan.bytes()) << "the activations are gone when it begins";
  options.model.activations += 50;
  EXPECT_EQ(memory_plan(tensors, options).bytes(), plan.bytes() + 40);
  options.per_layer = true;
  plan = memory_plan(tensors, options);
  EXPECT_EQ(plan.bytes(), plan.weights + plan.state() + plan.activations + 4 * 64 * 96 + plan.workspace)
      << "they are not, in the last block";
  options.optim.svd = train::Svd::randomized;
  EXPECT_LT(memory_plan(tensors, options).bytes(), plan.bytes());
}

TEST(GaLoreMemory, FindsTheLargestRankThatFits) {
  const auto tensors = tensors_of(llama(64, 96, 2, 2, 100));
  MemoryOptions options{.optim = {.name = "galore-adamw", .rank = 1}};
  options.optim.rank = 20;
  const auto at20 = memory_plan(tensors, options).bytes();
  EXPECT_EQ(largest_rank(tensors, options, at20), 20);
  EXPECT_EQ(largest_rank(tensors, options, at20 - 1), 19);
  EXPECT_EQ(largest_rank(tensors, options, 1000), 0);
  EXPECT_EQ(largest_rank(tensors, options, int64_t{1} << 40), 64);
}

TEST(GaLoreSpectrum, MeasuresRankEnergyAndOverlap) {
  torch::manual_seed(1);
  const auto q = std::get<0>(torch::linalg_qr(torch::randn({20, 4}))), p = std::get<0>(torch::linalg_qr(torch::randn({12, 4})));
  const auto first = torch::mm(q * torch::tensor({4.0F, 3.0F, 2.0F, 1.0F}), p.t());
  const auto spectrum = gradient_spectrum("w", first, first * -2.0, 2);
  EXPECT_NEAR(spectrum.stable_rank, 30.0 / 16.0, 1e-5);
  EXPECT_NEAR(spectrum.energy, 25.0 / 30.0, 1e-5);
  EXPECT_NEAR(spectrum.overlap, 1.0, 1e-5);
  const auto other = torch::mm(q.narrow(1, 2, 2), p.narrow(1, 2, 2).t());
  EXPECT_NEAR(gradient_spectrum("w", first, other, 2).overlap, 0.0, 1e-5);
  EXPECT_THROW(gradient_spectrum("w", first, first / 0.0, 2), InputError);
}

}  // namespace
}  // namespace tessera::galore
