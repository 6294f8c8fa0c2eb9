// ShortGPT on recurrent backbones: Mamba and RWKV beside Transformers, their folders scored and pruned.

#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/methods/shortgpt/recurrent_folder.h"
#include "tessera/methods/shortgpt/score.h"
#include "tests/methods/shortgpt_model.h"

namespace tessera::shortgpt {
namespace {

Windows rows_of(const torch::Tensor& ids) { return ids.unbind(0); }

// The checkpoint a golden holds, as a folder: the tensors whose names start with one of `prefixes`.
void write_dense(const tensor::Weights& golden, const std::vector<std::string>& prefixes, const std::filesystem::path& folder) {
  std::filesystem::create_directory(folder);
  write_file(folder / "config.json", golden.metadata().at("config"));
  tensor::NamedTensors tensors;
  for (const auto& info : golden.tensors()) {
    const auto ours = [&](const std::string& prefix) { return info.name.starts_with(prefix); };
    if (std::any_of(prefixes.begin(), prefixes.end(), ours)) tensors.emplace_back(info.name, golden.load(info.name));
  }
  tensor::save_safetensors(folder / "model.safetensors", tensors);
}

TEST(MambaParity, LogitsLossAndGradientsEqualTransformers) {
  const auto golden = tensor::Weights::open(golden_path("mamba"));
  nn::Mamba model(nn::parse_mamba_config(nlohmann::ordered_json::parse(golden.metadata().at("config"))));
  {
    torch::NoGradGuard no_gradient;
    for (auto& parameter : model->named_parameters()) parameter->copy_(golden.load(parameter.key()));
  }
  const auto ids = golden.load("ids");
  const auto logits = model->forward(ids);
  EXPECT_LT(relative(logits, golden.load("logits")), 1e-4);
  const auto loss = torch::nll_loss(torch::log_softmax(logits.slice(1, 0, 12), -1).flatten(0, 1), ids.slice(1, 1).flatten());
  EXPECT_NEAR(loss.item<double>(), golden.load("loss").item<double>(), 1e-4);
  loss.backward();
  for (const auto& parameter : model->named_parameters()) {
    EXPECT_LT(relative(parameter->grad(), golden.load("grad." + parameter.key())), 1e-3) << parameter.key();
  }
}

TEST(MambaFolder, IsScoredAndPruned) {
  torch::NoGradGuard no_gradient;
  const auto golden = tensor::Weights::open(golden_path("mamba"));
  TestFolder folder;
  write_dense(golden, {"backbone."}, folder / "dense");
  EXPECT_EQ(recurrent_kind(folder / "dense"), Recurrent::mamba);
  auto model = load_mamba(folder / "dense");
  const auto ids = golden.load("ids");
  const auto scores = measure_influence(*layers_of(model), rows_of(ids)).result();
  auto x = model->embed(ids);
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto y = model->block(static_cast<int64_t>(i))->forward(x);
    EXPECT_NEAR(scores[i].bi.mean, (1 - torch::cosine_similarity(x, y, -1)).mean().item<double>(), 1e-5);
    x = y;
  }
  prune_recurrent(folder / "dense", {1}, folder / "pruned");
  model->remove_blocks({1});
  EXPECT_TRUE(torch::equal(load_mamba(folder / "pruned")->forward(ids), model->forward(ids)));
  EXPECT_THROW(prune_recurrent(folder / "dense", {3}, folder / "other"), InputError);
  EXPECT_FALSE(std::filesystem::exists(folder / "other"));
}

class RwkvTest : public testing::Test {
 protected:
  RwkvTest() : golden_(tensor::Weights::open(golden_path("rwkv"))), ids_(golden_.load("ids")) {
    write_dense(golden_, {"rwkv.", "head."}, folder_ / "dense");
  }

  tensor::Weights golden_;
  torch::Tensor ids_;
  TestFolder folder_;
};

TEST_F(RwkvTest, LogitsLossAndGradientsEqualTransformers) {
  auto model = load_rwkv(folder_ / "dense");
  for (auto& parameter : model->parameters()) parameter.requires_grad_(true);
  const auto logits = model->forward(ids_);
  EXPECT_LT(relative(logits, golden_.load("logits")), 1e-4) << "Transformers halves the stream, which only the norms' epsilon notices";
  const auto loss = torch::nll_loss(torch::log_softmax(logits.slice(1, 0, 12), -1).flatten(0, 1), ids_.slice(1, 1).flatten());
  EXPECT_NEAR(loss.item<double>(), golden_.load("loss").item<double>(), 1e-5);
  loss.backward();
  for (const auto& parameter : model->named_parameters()) {
    EXPECT_LT(relative(parameter->grad(), golden_.load("grad." + parameter.key())), 1e-4) << parameter.key();
  }
}

TEST_F(RwkvTest, StatesEqualTransformers) {
  torch::NoGradGuard no_gradient;
  auto model = load_rwkv(folder_ / "dense");
  std::vector<nn::RwkvState> states;
  model->forward(ids_.slice(1, 0, 5), &states);
  for (int64_t t = 5; t < ids_.size(1); ++t) model->forward(ids_.slice(1, t, t + 1), &states);
  const torch::Tensor theirs[] = {golden_.load("state.0"), golden_.load("state.1"), golden_.load("state.2"), golden_.load("state.3"),
                                  golden_.load("state.4")};
  for (size_t i = 0; i < states.size(); ++i) {
    const torch::Tensor ours[] = {states[i].fed, states[i].attended, states[i].wkv.numerator, states[i].wkv.denominator,
                                  states[i].wkv.exponent};
    for (size_t part = 0; part < std::size(ours); ++part) {
      const auto expected = theirs[part].select(2, static_cast<int64_t>(i));
      EXPECT_LT(relative(ours[part], expected), 1e-4) << "block " << i << ", state " << part;
    }
  }
}

TEST_F(RwkvTest, FolderIsScoredAndPruned) {
  torch::NoGradGuard no_gradient;
  EXPECT_EQ(recurrent_kind(folder_ / "dense"), Recurrent::rwkv);
  const auto scores = measure_influence(*layers_of(load_rwkv(folder_ / "dense")), rows_of(ids_)).result();
  ASSERT_EQ(scores.size(), 3U);
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto x = golden_.load(fmt::format("hidden.{}", i));
    // Transformers gives the last stream behind the final norm only.
    if (i + 1 == scores.size()) break;
    const auto y = golden_.load(fmt::format("hidden.{}", i + 1));
    EXPECT_NEAR(scores[i].bi.mean, (1 - torch::cosine_similarity(x, y, -1)).mean().item<double>(), 1e-5) << i;
  }
  for (int64_t gone : {0, 1}) {
    const auto out = folder_ / fmt::format("pruned{}", gone);
    prune_recurrent(folder_ / "dense", {gone}, out);
    auto pruned = load_rwkv(out);
    EXPECT_EQ(pruned->depth(), 2);
    EXPECT_LT(relative(pruned->forward(ids_), golden_.load(fmt::format("removed.{}", gone))), 1e-4) << "without block " << gone;
    auto in_memory = load_rwkv(folder_ / "dense");
    in_memory->remove_blocks({gone});
    EXPECT_TRUE(torch::equal(pruned->forward(ids_), in_memory->forward(ids_)));
  }
  EXPECT_THROW(prune_recurrent(folder_ / "dense", {3}, folder_ / "other"), InputError);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other"));
}

TEST_F(RwkvTest, RefusesFoldersThatDoNotFit) {
  const auto rewrite = [&](const std::string& from, const std::string& to) {
    auto config = golden_.metadata().at("config");
    const auto at = config.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write_file(folder_ / "dense/config.json", config.replace(at, from.size(), to));
  };
  rewrite("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4");
  EXPECT_THROW(load_rwkv(folder_ / "dense"), InputError) << "a block's tensors are missing";
  rewrite("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2");
  EXPECT_THROW(load_rwkv(folder_ / "dense"), InputError) << "a block has no place";
  rewrite("\"hidden_size\": 24", "\"hidden_size\": 25");
  EXPECT_THROW(load_rwkv(folder_ / "dense"), InputError) << "another shape";
  rewrite("\"hidden_size\": 24", "\"hidden_size\": \"wide\"");
  EXPECT_THROW(load_rwkv(folder_ / "dense"), InputError);
}

}  // namespace
}  // namespace tessera::shortgpt
