#include "tessera/lm/generate.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

class Parity : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Architectures, Parity, testing::ValuesIn(golden_names()), [](const auto& info) { return info.param; });

TEST_P(Parity, LogitsAreTransformers) {
  torch::InferenceMode inference;
  Golden golden(GetParam());
  EXPECT_LT(error_of_scale(golden.model->forward(golden["ids"]), golden["logits"]), 1e-4);
}

TEST_P(Parity, LogitsWithGradientsRecordedAreTheSame) {
  Golden golden(GetParam());
  for (auto& parameter : golden.model->parameters()) parameter.set_requires_grad(true);
  EXPECT_LT(error_of_scale(golden.model->forward(golden["ids"]).detach(), golden["logits"]), 1e-4);
}

TEST_P(Parity, LogitsThroughTheCacheAreTheSame) {
  torch::InferenceMode inference;
  Golden golden(GetParam());
  const auto ids = golden["ids"], expected = golden["logits"];
  auto cache = golden.model->new_cache();
  PassOptions options;
  options.cache = &cache;
  int64_t at = 0;
  for (const int64_t n : {int64_t{5}, int64_t{9}, int64_t{1}, int64_t{1}, int64_t{2}, int64_t{1}, int64_t{5}}) {
    const auto logits = golden.model->forward(ids.narrow(1, at, n), options);
    EXPECT_LT(error_of_scale(logits, expected.narrow(1, at, n)), 1e-4) << n << " tokens from " << at;
    at += n;
  }
  ASSERT_EQ(at, ids.size(1));
  EXPECT_EQ(cache.length, at);
}

TEST_P(Parity, PaddedLogitsAreTransformers) {
  torch::InferenceMode inference;
  Golden golden(GetParam());
  const auto mask = golden["padded_mask"].to(torch::kBool);
  PassOptions options;
  options.mask = mask;
  const auto logits = golden.model->forward(golden["ids"], options);
  const auto real = mask.unsqueeze(2);
  EXPECT_LT(error_of_scale(logits * real, golden["padded_logits"] * real), 1e-4);
}

TEST_P(Parity, GreedyTokensAreTransformers) {
  Golden golden(GetParam());
  const auto ids = golden["ids"], greedy = golden["greedy"];
  for (const int64_t chunk : {int64_t{512}, int64_t{3}}) {
    std::vector<std::vector<int64_t>> prompts;
    for (int64_t b = 0; b < ids.size(0); ++b) {
      const auto row = ids[b].narrow(0, 0, 8).contiguous();
      prompts.emplace_back(row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + 8);
    }
    GenerateOptions options;
    options.max_tokens = greedy.size(1);
    options.sampling.temperature = 0.0;
    options.prefill_chunk = chunk;
    const auto result = generate(golden.model, prompts, options);
    for (int64_t b = 0; b < ids.size(0); ++b) {
      EXPECT_TRUE(torch::equal(torch::tensor(result.sequences[b].ids, torch::kInt64), greedy[b]))
          << "sequence " << b << ", chunk " << chunk;
    }
  }
}

TEST_P(Parity, LossAndGradientsAreTransformers) {
  Golden golden(GetParam());
  for (auto& parameter : golden.model->parameters()) parameter.set_requires_grad(true);
  const auto ids = golden["ids"];
  const auto hidden = golden.model->hidden(ids);
  const auto loss = golden.model->losses(hidden.narrow(1, 0, ids.size(1) - 1), ids.narrow(1, 1, ids.size(1) - 1)).mean();
  EXPECT_NEAR(loss.item<double>(), golden["loss"].item<double>(), 1e-5);
  loss.backward();
  std::map<std::string, torch::Tensor> ours;
  for (const auto& parameter : golden.model->named_parameters()) ours[parameter.key()] = parameter.value().grad();
  const bool gpt2 = GetParam() == "gpt2";
  int compared = 0;
  for (const auto& info : golden.values.tensors()) {
    if (!info.name.starts_with("grad.")) continue;
    auto name = info.name.substr(5);
    auto expected = golden[info.name];
    torch::Tensor grad;
    if (gpt2 && name.ends_with("c_attn.weight")) {
      const std::string attention = "model.layers.0.self_attn.";
      grad = torch::cat({ours[attention + "q_proj.weight"], ours[attention + "k_proj.weight"], ours[attention + "v_proj.weight"]}).t();
    } else if (gpt2) {
      grad = name.ends_with("c_fc.weight")   ? ours["model.layers.0.mlp.up_proj.weight"].t()
             : name.ends_with("ln_1.weight") ? ours["model.layers.0.input_layernorm.weight"]
                                             : ours["model.norm.weight"];
    } else {
      grad = ours[name];
    }
    ASSERT_TRUE(grad.defined()) << name;
    EXPECT_LT(error_of_scale(grad, expected), 1e-4) << name;
    ++compared;
  }
  EXPECT_GE(compared, 4);
}

TEST_P(Parity, LossesWithoutGradientAreTheSame) {
  torch::InferenceMode inference;
  Golden golden(GetParam());
  const auto ids = golden["ids"];
  const auto losses = golden.model->losses(golden.model->hidden(ids).narrow(1, 0, 23), ids.narrow(1, 1, 23));
  EXPECT_NEAR(losses.mean().item<double>(), golden["loss"].item<double>(), 1e-5);
}

TEST_P(Parity, Bfloat16StaysNear) {
  torch::InferenceMode inference;
  Golden golden(GetParam());
  auto half = load_model(golden_folder(GetParam()).string(),
                         {.dtype = DtypeChoice::bf16, .device = torch::kCPU, .allow_missing = {}, .tokenizer = false});
  EXPECT_EQ(half.model->dtype(), torch::kBFloat16);
  EXPECT_LT(error_of_scale(half.model->forward(golden["ids"]).to(torch::kFloat32), golden["logits"]), 0.06);
}

}  // namespace tessera::lm
