// GaLore's commands as a person runs them.

#include "tessera/methods/galore/commands.h"

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tests/methods/shortgpt_model.h"

namespace tessera::galore {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::map<std::string, std::vector<std::string>>;

class GaLoreCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    shortgpt::save_tiny(shortgpt::tiny_model(), folder_ / "model");
    write_file(folder_ / "text.txt", shortgpt::tiny_text(3000));
  }
  Json run(const run::Command& command, const Words& options) {
    run::GivenOptions given;
    for (const auto& [name, values] : options) given[name] = {.values = values, .source = run::Source::option, .where = "--" + name + " "};
    run::Settings settings;
    settings.dtype = run::Dtype::fp32;
    settings.out = folder_ / "run";
    run::Context context(settings, {}, "galore " + command.name, "");
    command.prepare(given)(context);
    return context.document();
  }
  std::string message(const run::Command& command, const Words& options) {
    try {
      run(command, options);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  std::string write_config(int64_t vocab, int64_t width, int64_t layers) {
    const auto path = folder_ / "config.json";
    write_file(path, Json{{"model_type", "llama"},
                          {"vocab_size", vocab},
                          {"hidden_size", width},
                          {"intermediate_size", 3 * width},
                          {"num_hidden_layers", layers},
                          {"num_attention_heads", 4},
                          {"num_key_value_heads", 4},
                          {"max_position_embeddings", 512},
                          {"rms_norm_eps", 1e-6},
                          {"tie_word_embeddings", false}}
                         .dump());
    return path.string();
  }
  shortgpt::TestFolder folder_;
};

TEST_F(GaLoreCommands, PlanAgreesForAConfigAndAHeader) {
  const std::string model = (folder_ / "model").string();
  const auto config = run(plan_command(), {{"config", {model}}, {"rank", {"4"}}});
  const auto header = run(plan_command(), {{"config", {model + "/model.safetensors"}}, {"rank", {"4"}}});
  EXPECT_EQ(config["parameters"], header["parameters"]);
  EXPECT_EQ(config["bytes"]["weights"], config["parameters"].get<int64_t>() * 4);
  EXPECT_EQ(config["elements"], header["elements"]);
  EXPECT_TRUE(header["bytes"]["activations"].is_null());
  EXPECT_GT(config["bytes"]["workspace"], 0);
  EXPECT_EQ(config["bytes"]["workspace"], header["bytes"]["workspace"]);
  EXPECT_TRUE(config["fits"].get<bool>());
  EXPECT_EQ(config["largest_rank"], 16);
  const auto adam = run(plan_command(), {{"config", {model}}, {"optim", {"adamw"}}, {"per-layer", {"true"}}});
  EXPECT_GT(adam["bytes"]["state"], config["bytes"]["state"]);
  EXPECT_EQ(adam["bytes"]["gradients"], adam["bytes"]["largest_gradient"]);
  EXPECT_EQ(adam["bytes"]["workspace"], 0);
  EXPECT_TRUE(adam["largest_rank"].is_null());
  EXPECT_FALSE(run(plan_command(), {{"config", {model}}, {"ram", {"0.00001"}}})["fits"].get<bool>());
}

TEST_F(GaLoreCommands, PlanSaysWhatIsWrong) {
  const std::string model = (folder_ / "model").string();
  EXPECT_EQ(message(plan_command(), {{"config", {model}}, {"optim", {"galore-adamv"}}}),
            "--optim galore-adamv: no such optimizer; did you mean galore-adamw?");
  EXPECT_THAT(message(plan_command(), {{"config", {model}}, {"optim", {"adamw"}}, {"rank", {"4"}}}),
              testing::StartsWith("--rank says nothing to --optim adamw; "));
  write_file(folder_ / "config.json", R"({"model_type": "llama", "hidden_size": 8})");
  EXPECT_THAT(message(plan_command(), {{"config", {(folder_ / "config.json").string()}}}), testing::HasSubstr("config.json"));
  write_file(folder_ / "empty.safetensors", "");
  EXPECT_THAT(message(plan_command(), {{"config", {(folder_ / "empty.safetensors").string()}}}), testing::HasSubstr("empty.safetensors"));
}

TEST_F(GaLoreCommands, MeasureSaysWhatIsWrongBeforeItAllocates) {
  EXPECT_THAT(message(measure_command(), {{"config", {write_config(1'000'000, 8192, 40)}}}),
              testing::StartsWith("training this model takes about "));
  EXPECT_THAT(message(measure_command(), {{"config", {(folder_ / "text.txt").string()}}}), testing::HasSubstr("text.txt"));
}

TEST_F(GaLoreCommands, TuneTriesEveryRateAndKeepsTheBest) {
  const auto document = run(tune_command(), {{"arms", {"C"}}, {"steps", {"1"}}});
  ASSERT_EQ(document["arms"].size(), 1U);
  const auto& arm = document["arms"][0];
  EXPECT_EQ(arm["arm"], "C");
  ASSERT_EQ(arm["tried"].size(), 9U) << "five rates of matrices, four more of the rest";
  double least = INFINITY;
  std::set<std::pair<double, double>> rates;
  for (const auto& each : arm["tried"]) {
    least = std::min(least, each["nats_per_byte"].get<double>());
    rates.emplace(each["matrix_rate"], each["other_rate"]);
  }
  EXPECT_EQ(rates.size(), 9U) << "none twice";
  EXPECT_EQ(arm["nats_per_byte"], least);
  EXPECT_EQ(document["steps"], 1);
  EXPECT_EQ(message(tune_command(), {{"arms", {"D"}}}), "--arms D: no such arm; give some of A, B, C, E");
}

TEST_F(GaLoreCommands, SpectrumWritesTablesAndAReport) {
  const auto document =
      run(spectrum_command(),
          {{"checkpoint", {(folder_ / "model").string()}}, {"data", {(folder_ / "text.txt").string()}}, {"rank", {"4"}}, {"seq", {"16"}}});
  ASSERT_EQ(document["matrices"].size(), 42U);
  for (const auto& row : document["matrices"]) {
    EXPECT_GT(row["energy"], 0.2);
    EXPECT_LE(row["energy"], 1.0);
    EXPECT_GT(row["overlap"], 0.0);
    EXPECT_LE(row["overlap"], 1.0001);
  }
  for (const char* name : {"artifacts/spectrum.csv", "artifacts/singular_values.csv", "report.html"})
    EXPECT_TRUE(std::filesystem::exists(folder_ / "run" / name)) << name;
}

TEST_F(GaLoreCommands, SpectrumAsksForEnoughText) {
  write_file(folder_ / "short.txt", shortgpt::tiny_text(20));
  EXPECT_THAT(message(spectrum_command(), {{"checkpoint", {(folder_ / "model").string()}}, {"data", {(folder_ / "short.txt").string()}}}),
              testing::HasSubstr("tokens and two batches take"));
}

}  // namespace
}  // namespace tessera::galore
