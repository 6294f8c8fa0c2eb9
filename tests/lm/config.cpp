#include "tessera/lm/config.h"

#include <gtest/gtest.h>

#include <functional>

#include "tessera/base/error.h"
#include "tests/lm/golden_files.h"

namespace tessera::lm {

static Json small_llama() {
  return {{"model_type", "llama"},  {"vocab_size", 96},         {"hidden_size", 32},        {"intermediate_size", 48},
          {"num_hidden_layers", 4}, {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"rms_norm_eps", 1e-5}};
}

static std::string config_problem(const Json& json) {
  try {
    parse_config(json);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, NamesWhatIsWrong) {
  auto json = small_llama();
  json["model_type"] = "rwkv";
  EXPECT_EQ(config_problem(json), "model_type rwkv is not known; known are llama, mistral, qwen2, gemma3_text, gpt2, baichuan");
  json = small_llama();
  json.erase("hidden_size");
  EXPECT_EQ(config_problem(json), "config.json has no hidden_size; the model's folder is incomplete");
  json = small_llama();
  json["num_hidden_layers"] = -3;
  EXPECT_EQ(config_problem(json), "config.json: num_hidden_layers is -3; expected a whole number from 1 to 2147483648");
  json = small_llama();
  json["num_key_value_heads"] = 3;
  EXPECT_EQ(config_problem(json), "config.json: 4 attention heads share 3 key heads; expected a multiple");
  json = small_llama();
  json["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_EQ(config_problem(json), "config.json: rope_type yarn is not supported; expected default, linear or llama3");
  json = small_llama();
  json["vocab_size"] = 2147483648;
  json["hidden_size"] = 2147483648;
  json["head_dim"] = 8;
  EXPECT_NE(config_problem(json).find("expected less than 2^40"), std::string::npos) << config_problem(json);
  EXPECT_NE(config_problem(Json::array({1})), "");
}

// Every value of a config.json, the nested ones too, in turn replaced by `strange`.
static void for_each_replaced(Json& part, const Json& strange, const std::function<void()>& visit) {
  for (auto& [key, value] : part.items()) {
    const Json kept = value;
    if (value.is_structured()) for_each_replaced(value, strange, visit);
    value = strange;
    visit();
    value = kept;
  }
}

TEST(Config, AnyValueAnywhereIsReadOrRefusedInOneLine) {
  const std::vector<Json> strange{nullptr,
                                  true,
                                  0,
                                  -1,
                                  1,
                                  7,
                                  int64_t{1} << 31,
                                  int64_t{1} << 62,
                                  ~uint64_t{0},
                                  0.0,
                                  -0.5,
                                  1e308,
                                  1e-308,
                                  "",
                                  "x\ny",
                                  "full_attention",
                                  Json::array(),
                                  Json::object(),
                                  Json::array({1}),
                                  Json::array({-1, 0}),
                                  Json::array({"full_attention"}),
                                  {{"rope_type", "linear"}},
                                  {{"layers", 3}},
                                  {{"removed_layers", "x"}},
                                  {{"removed_layers", {-1, 5}}},
                                  {{"layers", {1, 2}}}};
  size_t refused = 0, read = 0;
  for (const auto& name : golden_names()) {
    auto json = read_config(golden_folder(name) / "config.json").raw;
    json["tessera"] = {{"removed_layers", {1}}};
    for (const auto& value : strange) {
      for_each_replaced(json, value, [&] {
        try {
          auto config = parse_config(json);
          parameter_count(config);
          without_layers(config, {0});
          record_extensions(config);
          ++read;
        } catch (const InputError& error) {
          ++refused;
          EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        } catch (const std::exception& error) {
          ADD_FAILURE() << name << ": " << error.what() << " from " << json.dump();
        }
      });
    }
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_GT(read, 1000U);
}

TEST(Config, RemovedLayersAreCountedInTheOriginalModel) {
  const auto once = without_layers(parse_config(small_llama()), {1});
  EXPECT_EQ(once.raw["num_hidden_layers"], 3);
  EXPECT_EQ(once.raw["tessera"]["removed_layers"], Json::array({1}));
  const auto twice = without_layers(once, {1});
  EXPECT_EQ(twice.raw["tessera"]["removed_layers"], Json::array({1, 2}));
  EXPECT_EQ(parse_config(twice.raw).depth(), 2);
  EXPECT_THROW(without_layers(once, {3}), InputError);
  EXPECT_THROW(without_layers(once, {0, 0}), InputError);
  EXPECT_THROW(without_layers(once, {0, 1, 2}), InputError);
}

TEST(Config, APeriodicPatternBecomesAListThatFollowsItsLayers) {
  auto json = read_config(golden_folder("gemma3") / "config.json").raw;
  json.erase("layer_types");
  json["sliding_window_pattern"] = 3;
  const auto config = parse_config(json);
  EXPECT_FALSE(config.layers[2].sliding);
  EXPECT_TRUE(config.layers[3].sliding);
  const auto shorter = without_layers(config, {0, 4});
  EXPECT_EQ(shorter.raw["layer_types"],
            Json::array({"sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention"}));
  EXPECT_FALSE(shorter.raw.contains("sliding_window_pattern"));
  EXPECT_EQ(parse_config(shorter.raw).layers, shorter.layers);
}

TEST(Config, WhatHuggingFaceCannotSayIsKeptUnderTessera) {
  auto config = parse_config(small_llama());
  config.placement = NormPlacement::post;
  config.layers[1].attention = false;
  config.layers[2].ffn_width = 16;
  record_extensions(config);
  const auto again = parse_config(config.raw);
  EXPECT_EQ(again.placement, NormPlacement::post);
  EXPECT_EQ(again.layers, config.layers);
}

}  // namespace tessera::lm
