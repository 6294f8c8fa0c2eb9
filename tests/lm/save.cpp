#include "tessera/lm/save.h"

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/gguf_export.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

static torch::Tensor golden_logits(const std::filesystem::path& path, const torch::Tensor& ids) {
  torch::InferenceMode inference;
  auto loaded = load_model(path.string(), {.dtype = DtypeChoice::fp32, .device = torch::kCPU, .allow_missing = {}, .tokenizer = false});
  return loaded.model->forward(ids);
}

TEST(Save, AFolderComesBackBitForBit) {
  for (const auto& name : golden_names()) {
    ScratchFolder scratch;
    Golden golden(name);
    save_model(golden.model, scratch / "copy", {.source = golden_folder(name)});
    EXPECT_TRUE(torch::equal(golden_logits(scratch / "copy", golden["ids"]), golden_logits(golden_folder(name), golden["ids"]))) << name;
  }
}

TEST(Save, AGgufComesBackBitForBit) {
  for (const auto& name : golden_names()) {
    for (const char* type : {"F32", "BF16"}) {
      ScratchFolder scratch;
      Golden golden(name);
      if (golden.model->config().alibi) continue;  // a GGUF tells it by 40 blocks: below
      convert_model(golden_folder(name).string(), scratch / "model.gguf", {.type = type});
      EXPECT_LT(error_of_scale(golden_logits(scratch / "model.gguf", golden["ids"]), golden["logits"]), 1e-4) << name << " " << type;
    }
  }
}

// The golden Llama without tied head, written as Baichuan2's files are: q, k and v in one matrix, rows of the head at any length.
TEST(Load, BaichuanIsALlamaByOtherNamesWithANormedHead) {
  ScratchFolder scratch;
  torch::manual_seed(3);
  auto config = Json::parse(read_file(golden_folder("llama_linear_rope") / "config.json"));
  config["num_key_value_heads"] = config["num_attention_heads"];
  config["tie_word_embeddings"] = false;
  const auto parsed = parse_config(config);
  Transformer llama(parsed);
  init_weights(llama, 5);
  tensor::NamedTensors tensors;
  torch::NoGradGuard no_grad;
  auto named = llama->named_parameters();
  auto& head = named["lm_head.weight"];
  head.copy_(head / head.norm(2, 1, true));
  for (const auto& parameter : named) {
    const std::string& name = parameter.key();
    const auto at = name.find("q_proj");
    if (at != std::string::npos) {
      const auto part = [&](const char* which) { return named[std::string(name).replace(at, 6, which)]; };
      tensors.emplace_back(std::string(name).replace(at, 6, "W_pack"), torch::cat({part("q_proj"), part("k_proj"), part("v_proj")}));
    } else if (name == "lm_head.weight") {
      tensors.emplace_back(name, parameter.value() * (torch::rand({head.size(0), 1}) + 0.5));
    } else if (name.find("k_proj") == std::string::npos && name.find("v_proj") == std::string::npos) {
      tensors.emplace_back(name, parameter.value());
    }
  }
  config["model_type"] = "baichuan";
  config["z_loss_weight"] = 0;
  std::filesystem::create_directory(scratch / "baichuan");
  tensor::save_safetensors(scratch / "baichuan" / "model.safetensors", tensors);
  write_file(scratch / "baichuan" / "config.json", config.dump());
  const auto ids = torch::randint(parsed.vocab, {2, 9}, torch::kInt64);
  llama->eval();
  const auto expected = llama->forward(ids);
  EXPECT_LT(error_of_scale(golden_logits(scratch / "baichuan", ids), expected), 1e-5);
  auto loaded = load_model((scratch / "baichuan").string(), {.dtype = DtypeChoice::fp32, .tokenizer = false});
  save_model(loaded.model, scratch / "copy");
  EXPECT_LT(error_of_scale(golden_logits(scratch / "copy", ids), expected), 1e-5);
  EXPECT_TRUE(tensor::Weights::open(scratch / "copy").has("model.layers.1.self_attn.W_pack.weight"));
  convert_model((scratch / "baichuan").string(), scratch / "model.gguf", {.type = "F32"});
  EXPECT_LT(error_of_scale(golden_logits(scratch / "model.gguf", ids), expected), 1e-5);
}

static std::string conversion_problem(const std::filesystem::path& folder, const std::filesystem::path& to) {
  try {
    convert_model(folder.string(), to, {.type = "F32"});
  } catch (const InputError& error) {
    return error.what();
  }
  return "(none)";
}

static Transformer tiny_baichuan(int64_t layers, bool alibi) {
  Json config{{"model_type", "baichuan"},    {"vocab_size", 40},         {"hidden_size", 12},           {"intermediate_size", 16},
              {"num_hidden_layers", layers}, {"num_attention_heads", 3}, {"tie_word_embeddings", false}};
  config[alibi ? "model_max_length" : "max_position_embeddings"] = 48;
  Transformer model(fresh_config(config));
  init_weights(model, 5);
  model->eval();
  return model;
}

// As llama.cpp reads it, a Baichuan's GGUF has ALiBi when it has 40 blocks.
TEST(Save, AGgufOf40BlocksIsABaichuanWithAlibi) {
  ScratchFolder scratch;
  torch::NoGradGuard no_grad;
  auto model = tiny_baichuan(40, true);
  ASSERT_TRUE(model->config().alibi);
  EXPECT_EQ(model->config().max_positions, 48);
  const auto ids = torch::randint(40, {2, 9}, torch::kInt64), expected = model->forward(ids);
  save_model(model, scratch / "folder");
  convert_model((scratch / "folder").string(), scratch / "model.gguf", {.type = "F32"});
  EXPECT_LT(error_of_scale(golden_logits(scratch / "model.gguf", ids), expected), 1e-5);
  auto read = load_model((scratch / "model.gguf").string(), {.dtype = DtypeChoice::fp32, .tokenizer = false});
  save_model(read.model, scratch / "back");
  EXPECT_LT(error_of_scale(golden_logits(scratch / "back", ids), expected), 1e-5);
  const auto config = read_config(scratch / "back" / "config.json");
  EXPECT_TRUE(config.alibi);
  EXPECT_FALSE(config.raw.contains("max_position_embeddings"));
  EXPECT_EQ(config.max_positions, 48);
  const auto shorter = tiny_baichuan(3, true), rotating = tiny_baichuan(40, false);
  EXPECT_FALSE(rotating->config().alibi);
  save_model(shorter, scratch / "shorter");
  save_model(rotating, scratch / "rotating");
  EXPECT_THAT(conversion_problem(scratch / "shorter", scratch / "x.gguf"), testing::HasSubstr("this one has 3 blocks and ALiBi"));
  EXPECT_THAT(conversion_problem(scratch / "rotating", scratch / "x.gguf"), testing::HasSubstr("this one has 40 blocks and rotates"));
}

TEST(Save, QuantisedFilesStayNear) {
  ScratchFolder scratch;
  Golden golden("gemma3");
  convert_model(golden_folder("gemma3").string(), scratch / "q8.gguf", {.type = "Q8_0"});
  const double error = error_of_scale(golden_logits(scratch / "q8.gguf", golden["ids"]), golden["logits"]);
  EXPECT_GT(error, 0.0);
  EXPECT_LT(error, 0.05);
}

TEST(Save, RefusesToWriteOverAModelAndUnknownTypes) {
  ScratchFolder scratch;
  Golden golden("llama");
  save_model(golden.model, scratch / "copy");
  EXPECT_THROW(save_model(golden.model, scratch / "copy"), InputError);
  EXPECT_THROW(convert_model(golden_folder("llama").string(), scratch / "x.gguf", {.type = "Q2_K"}), InputError);
  EXPECT_THROW(convert_model(golden_folder("llama").string(), scratch / "x", {.type = "Q8_0"}), InputError);
  EXPECT_FALSE(std::filesystem::exists(scratch / "x.gguf"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
}

TEST(Load, WithoutItsHeadAModelGivesTheSameHiddenStates) {
  torch::InferenceMode inference;
  for (const auto& name : golden_names()) {
    ScratchFolder scratch;
    Golden golden(name);
    std::vector<std::filesystem::path> paths = {golden_folder(name)};
    if (!golden.model->config().alibi) {  // a GGUF tells it by 40 blocks
      paths.push_back(scratch / "model.gguf");
      convert_model(golden_folder(name).string(), paths.back(), {.type = "F32"});
    }
    for (const auto& path : paths) {
      auto whole = load_model(path.string(), {.dtype = DtypeChoice::fp32, .tokenizer = false});
      auto headless = load_model(path.string(), {.dtype = DtypeChoice::fp32, .tokenizer = false, .head = false});
      EXPECT_EQ(headless.model->embed_tokens.numel(), 0);
      const auto hidden = headless.model->hidden(golden["ids"]);
      EXPECT_TRUE(torch::equal(hidden, whole.model->hidden(golden["ids"]))) << path;
      try {
        headless.model->logits(hidden);
        FAIL() << path;
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("load it with its head"));
      }
      EXPECT_THROW(headless.model->hidden(torch::full({1, 2}, whole.model->config().vocab)), InputError);
    }
  }
}

TEST(Load, ListsWhatDoesNotFit) {
  ScratchFolder scratch;
  Golden golden("llama");
  save_model(golden.model, scratch / "copy");
  auto config = Json::parse(read_file(scratch / "copy" / "config.json"));
  config["num_hidden_layers"] = 3;
  write_file(scratch / "copy" / "config.json", config.dump());
  try {
    load_model((scratch / "copy").string());
    FAIL() << "a third layer is missing";
  } catch (const InputError& error) {
    const std::string line = error.what();
    EXPECT_NE(line.find("9 not in the file: model.layers.2.input_layernorm.weight"), std::string::npos) << line;
  }
  config["num_hidden_layers"] = 1;
  write_file(scratch / "copy" / "config.json", config.dump());
  EXPECT_THROW(load_model((scratch / "copy").string()), InputError) << "tensors of the second layer would be ignored";
  config["num_hidden_layers"] = 2;
  config["intermediate_size"] = 40;
  write_file(scratch / "copy" / "config.json", config.dump());
  EXPECT_THROW(load_model((scratch / "copy").string()), InputError) << "another shape";
}

}  // namespace tessera::lm
