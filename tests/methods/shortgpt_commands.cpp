// ShortGPT's commands as a person runs them: documents, folders, and every wrong input in one line with nothing written.

#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tests/methods/shortgpt_model.h"

namespace tessera::shortgpt {
namespace {

using Json = nlohmann::ordered_json;

// Runs a command with its options as words; returns its document.
Json run_command(const run::Command& command, const std::map<std::string, std::vector<std::string>>& options,
                 const std::filesystem::path& out) {
  run::GivenOptions given;
  for (const auto& [name, values] : options) given[name] = {.values = values, .source = run::Source::option, .where = "--" + name + " "};
  run::Settings settings;
  settings.dtype = run::Dtype::fp32;
  settings.out = out;
  run::Context context(settings, {}, "shortgpt " + command.name, "");
  command.prepare(given)(context);
  return context.document();
}

class ShortGptCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    save_tiny(tiny_model(), folder_ / "model");
    write_file(folder_ / "text.txt", tiny_text(300));
    model_ = (folder_ / "model").string();
    text_ = (folder_ / "text.txt").string();
  }
  std::string message(const run::Command& command, std::map<std::string, std::vector<std::string>> options) {
    try {
      run_command(command, options, folder_ / "run");
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  std::string prune_message(std::map<std::string, std::vector<std::string>> options) {
    options.insert({"model", {model_}});
    options["out"] = {(folder_ / "new").string()};
    const auto line = message(prune_command(), options);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
    EXPECT_EQ(line.find('\n'), std::string::npos);
    return line;
  }

  TestFolder folder_;
  std::string model_, text_;
};

TEST_F(ShortGptCommands, ScorePrintsLayersAndOrder) {
  const auto document =
      run_command(score_command(), {{"model", {model_}}, {"calib", {text_}}, {"window", {"16"}}, {"metric", {"all"}}}, folder_ / "run");
  ASSERT_EQ(document["layers"].size(), 6U);
  EXPECT_EQ(document["order"].size(), 6U);
  EXPECT_EQ(document["layers"][document["order"][0].get<size_t>()]["rank"], 0);
  for (const auto& layer : document["layers"]) {
    EXPECT_GE(layer["bi"], document["layers"][document["order"][0].get<size_t>()]["bi"]);
    for (const char* key : {"bi_error", "bi_without_first", "rm", "norm", "angular", "ppl"}) EXPECT_TRUE(layer[key].is_number()) << key;
  }
  EXPECT_EQ(Json::parse(read_file(folder_ / "run/artifacts/scores.json"))["order"], document["order"]);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/report.html"));
  const auto branches = run_command(score_command(), {{"model", {model_}}, {"calib", {text_}}, {"window", {"16"}}, {"sublayers", {"true"}}},
                                    folder_ / "run2");
  EXPECT_EQ(branches["layers"].size(), 12U);
  EXPECT_EQ(branches["layers"][3]["name"], "1.mlp");
}

TEST_F(ShortGptCommands, PruneWritesASmallerModel) {
  const auto document =
      run_command(prune_command(),
                  {{"model", {model_}}, {"calib", {text_}}, {"window", {"16"}}, {"layers", {"2"}}, {"out", {(folder_ / "small").string()}}},
                  folder_ / "run");
  EXPECT_EQ(document["removed"].size(), 2U);
  EXPECT_EQ(document["after"]["layers"], 4);
  EXPECT_LT(document["after"]["kv_bytes_per_token"], document["before"]["kv_bytes_per_token"]);
  const auto scores = run_command(score_command(), {{"model", {model_}}, {"calib", {text_}}, {"window", {"16"}}}, folder_ / "run3");
  EXPECT_EQ(document["removed"], Json({scores["order"][0], scores["order"][1]}));
  EXPECT_EQ(lm::load_model((folder_ / "small").string()).config().depth(), 4);
  // The kept tensors are the old ones, bit for bit.
  const auto old = tensor::Weights::open(folder_ / "model"), kept = tensor::Weights::open(folder_ / "small");
  int64_t from = 0;
  std::vector<int64_t> removed = document["removed"];
  for (int64_t to = 0; to < 4; ++to, ++from) {
    while (std::find(removed.begin(), removed.end(), from) != removed.end()) ++from;
    for (const std::string part : {"self_attn.q_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight"}) {
      EXPECT_TRUE(
          torch::equal(kept.load(fmt::format("model.layers.{}.{}", to, part)), old.load(fmt::format("model.layers.{}.{}", from, part))));
    }
  }
}

TEST_F(ShortGptCommands, PruneByRatioByListByRiseAndByBranch) {
  const auto out = [&](const char* name) { return std::vector<std::string>{(folder_ / name).string()}; };
  const auto half =
      run_command(prune_command(), {{"model", {model_}}, {"metric", {"reverse"}}, {"ratio", {"0.4"}}, {"out", out("a")}}, folder_ / "r1");
  EXPECT_NEAR(half["after"]["parameters"].get<double>() / half["before"]["parameters"].get<double>(), 0.6, 0.08);
  const auto listed = run_command(prune_command(), {{"model", {model_}}, {"remove", {"4,0-1"}}, {"out", out("b")}}, folder_ / "r2");
  EXPECT_EQ(listed["after"]["layers"], 3);
  const auto risen = run_command(
      prune_command(), {{"model", {model_}}, {"calib", {text_}}, {"window", {"16"}}, {"max-ppl-rise", {"1000"}}, {"out", out("c")}},
      folder_ / "r3");
  EXPECT_EQ(risen["after"]["layers"], 1);
  const auto branch = run_command(
      prune_command(),
      {{"model", {model_}}, {"calib", {text_}}, {"window", {"16"}}, {"layers", {"1"}}, {"sublayer", {"mlp"}}, {"out", out("d")}},
      folder_ / "r4");
  const auto zeroed =
      tensor::Weights::open(folder_ / "d").load(fmt::format("model.layers.{}.mlp.down_proj.weight", branch["removed"][0].get<int64_t>()));
  EXPECT_EQ(zeroed.abs().max().item<float>(), 0);
  EXPECT_EQ(branch["after"]["layers"], 6);
}

TEST_F(ShortGptCommands, WrongPrunesAreOneLineAndWriteNothing) {
  EXPECT_NE(prune_message({{"layers", {"6"}}, {"metric", {"reverse"}}}).find("has 6 layers and one must stay; give 1 to 5"),
            std::string::npos);
  EXPECT_NE(prune_message({{"layers", {"2"}}}).find("--metric bi needs text; give --calib FILE"), std::string::npos);
  EXPECT_NE(prune_message({}).find("give exactly one"), std::string::npos);
  EXPECT_NE(prune_message({{"layers", {"2"}}, {"remove", {"1"}}}).find("give exactly one"), std::string::npos);
  EXPECT_NE(prune_message({{"remove", {"9"}}}).find("no layer 9; give 0 to 5"), std::string::npos);
  EXPECT_NE(prune_message({{"remove", {"1,1"}}}).find("named twice"), std::string::npos);
  EXPECT_NE(prune_message({{"remove", {"0-5"}}}).find("one must stay"), std::string::npos);
  EXPECT_NE(prune_message({{"layers", {"1"}}, {"calib", {text_}}, {"window", {"5000"}}}).find("a window needs 5000"), std::string::npos);
}

// Baichuan of 13B: ALiBi, q, k and v in one matrix, a head of rows at length one.
TEST_F(ShortGptCommands, ABaichuanWithAlibiIsScoredPrunedAndContinued) {
  lm::Transformer model(lm::fresh_config({{"model_type", "baichuan"},
                                          {"vocab_size", 40},
                                          {"hidden_size", 18},
                                          {"intermediate_size", 24},
                                          {"num_hidden_layers", 4},
                                          {"num_attention_heads", 6},
                                          {"model_max_length", 64},
                                          {"z_loss_weight", 0},
                                          {"tie_word_embeddings", false},
                                          {"initializer_range", 0.3}}));
  lm::init_weights(model, 1);
  const auto folder = save_tiny(model, folder_ / "baichuan").string();
  const auto scores = run_command(score_command(), {{"model", {folder}}, {"calib", {text_}}, {"window", {"16"}}}, folder_ / "run");
  EXPECT_EQ(scores["layers"].size(), 4U);
  const auto pruned =
      run_command(prune_command(),
                  {{"model", {folder}}, {"calib", {text_}}, {"window", {"16"}}, {"layers", {"1"}}, {"out", {(folder_ / "small").string()}}},
                  folder_ / "run2");
  EXPECT_EQ(pruned["after"]["layers"], 3);
  const auto config = lm::read_config(folder_ / "small" / "config.json");
  EXPECT_TRUE(config.alibi);
  EXPECT_EQ(config.depth(), 3);
  const auto text =
      run_command(generate_command(), {{"model", {(folder_ / "small").string()}}, {"prompt", {"ab"}}, {"tokens", {"4"}}}, folder_ / "run3");
  EXPECT_EQ(text["ids"].size(), 4U);
}

TEST_F(ShortGptCommands, AFullOutputFolderIsRefused) {
  EXPECT_NE(message(prune_command(), {{"model", {model_}}, {"remove", {"1"}}, {"out", {model_}}}), "no error");
}

TEST_F(ShortGptCommands, BrokenModelsGiveOneLineAndWriteNothing) {
  const auto config = Json::parse(read_file(folder_ / "model/config.json"));
  const auto with = [&](const std::string& name, const Json& changed) {
    const auto target = folder_ / name;
    std::filesystem::copy(folder_ / "model", target);
    write_file(target / "config.json", changed.dump());
    return prune_message({{"model", {target.string()}}, {"remove", {"1"}}});
  };
  for (const int64_t layers : {0, 3, 9, 1000000}) {  // too few: tensors are left over; too many: tensors are missing
    auto changed = config;
    changed["num_hidden_layers"] = layers;
    EXPECT_NE(with("depth" + std::to_string(layers), changed), "no error") << layers;
  }
  for (const auto& [key, value, feature] :
       std::vector<std::tuple<std::string, Json, std::string>>{{"is_encoder_decoder", true, "an encoder-decoder"},
                                                               {"num_hidden_groups", 1, "share their weights"},
                                                               {"num_kv_shared_layers", 2, "shared across layers"}}) {
    auto changed = config;
    changed[key] = value;
    EXPECT_NE(with("shared-" + key, changed).find(feature), std::string::npos);
  }
  // A gap in the numbering: block 2's tensors are called block 7's.
  tensor::NamedTensors tensors;
  const auto weights = tensor::Weights::open(folder_ / "model");
  for (const auto& info : weights.tensors()) {
    auto name = info.name;
    if (const auto at = name.find("layers.2."); at != std::string::npos) name[at + 7] = '7';
    tensors.emplace_back(name, weights.load(info.name));
  }
  std::filesystem::copy(folder_ / "model", folder_ / "gap");
  std::filesystem::remove(folder_ / "gap/model.safetensors");
  tensor::save_safetensors(folder_ / "gap/model.safetensors", tensors);
  EXPECT_NE(prune_message({{"model", {(folder_ / "gap").string()}}, {"remove", {"1"}}}).find("layers.2"), std::string::npos);
}

TEST_F(ShortGptCommands, SweepMarksItsKnee) {
  const auto document =
      run_command(sweep_command(), {{"model", {model_}}, {"calib", {text_}}, {"eval", {text_}}, {"window", {"16"}}}, folder_ / "run");
  EXPECT_EQ(document["points"].size(), 6U);
  EXPECT_LE(document["knee"], 5);
  EXPECT_LT(document["points"][5]["parameters"], document["points"][0]["parameters"]);
}

TEST_F(ShortGptCommands, GenerateLeavesLayersOut) {
  const auto whole = run_command(generate_command(), {{"model", {model_}}, {"prompt", {"ab cd"}}, {"tokens", {"6"}}}, folder_ / "run");
  const auto none =
      run_command(generate_command(), {{"model", {model_}}, {"prompt", {"ab cd"}}, {"tokens", {"6"}}, {"mode", {"all"}}}, folder_ / "run");
  EXPECT_EQ(whole["ids"], none["ids"]);
  const auto skipped =
      run_command(generate_command(), {{"model", {model_}}, {"prompt", {"ab cd"}}, {"tokens", {"6"}}, {"skip", {"1-4"}}, {"mode", {"all"}}},
                  folder_ / "run");
  EXPECT_EQ(skipped["skipped"], Json({1, 2, 3, 4}));
  EXPECT_NE(message(generate_command(), {{"model", {model_}}, {"prompt", {"a"}}, {"skip", {"1,1"}}}).find("named twice"),
            std::string::npos);
}

TEST_F(ShortGptCommands, HealTrainsAndWritesWhatTesseraReads) {
  run_command(prune_command(), {{"model", {model_}}, {"remove", {"1,3"}}, {"out", {(folder_ / "small").string()}}}, folder_ / "r1");
  const auto document = run_command(heal_command(),
                                    {{"pruned", {(folder_ / "small").string()}},
                                     {"data", {text_}},
                                     {"window", {"16"}},
                                     {"steps", {"20"}},
                                     {"width", {"32"}},
                                     {"lr", {"0.01"}},
                                     {"dense", {model_}},
                                     {"distill", {"0.5"}},
                                     {"out", {(folder_ / "healed").string()}}},
                                    folder_ / "run");
  EXPECT_EQ(document["inserted"], Json({1, 3}));
  EXPECT_LT(document["last_loss"], document["first_loss"]);
  EXPECT_EQ(lm::load_model((folder_ / "healed").string()).config().depth(), 6);
  EXPECT_NE(message(heal_command(), {{"pruned", {model_}}, {"data", {text_}}, {"out", {(folder_ / "x").string()}}})
                .find("names no removed layers"),
            std::string::npos);
}

TEST_F(ShortGptCommands, AnRwkvFolderIsScoredSweptAndPruned) {
  const auto golden = tensor::Weights::open(golden_path("rwkv"));
  std::filesystem::create_directory(folder_ / "rwkv");
  write_file(folder_ / "rwkv/config.json", golden.metadata().at("config"));
  write_file(folder_ / "rwkv/tokenizer.json", tiny_tokenizer());
  tensor::NamedTensors tensors;
  for (const auto& info : golden.tensors()) {
    if (info.name.starts_with("rwkv.") || info.name.starts_with("head.")) tensors.emplace_back(info.name, golden.load(info.name));
  }
  tensor::save_safetensors(folder_ / "rwkv/model.safetensors", tensors);
  const auto rwkv = (folder_ / "rwkv").string();
  const auto scored = run_command(score_command(), {{"model", {rwkv}}, {"calib", {text_}}, {"window", {"16"}}}, folder_ / "scored");
  EXPECT_EQ(scored["layers"].size(), 3U);
  const auto swept =
      run_command(sweep_command(), {{"model", {rwkv}}, {"calib", {text_}}, {"eval", {text_}}, {"window", {"16"}}}, folder_ / "swept");
  EXPECT_EQ(swept["points"].size(), 3U);
  const auto pruned =
      run_command(prune_command(), {{"model", {rwkv}}, {"remove", {"0"}}, {"out", {(folder_ / "short").string()}}}, folder_ / "run");
  EXPECT_EQ(pruned["removed"], Json({0}));
  const auto again =
      run_command(score_command(), {{"model", {(folder_ / "short").string()}}, {"calib", {text_}}, {"window", {"16"}}}, folder_ / "again");
  EXPECT_EQ(again["layers"].size(), 2U);
  EXPECT_NE(message(generate_command(), {{"model", {rwkv}}, {"prompt", {"ab"}}}).find("this is an RWKV model"), std::string::npos);
}

}  // namespace
}  // namespace tessera::shortgpt
