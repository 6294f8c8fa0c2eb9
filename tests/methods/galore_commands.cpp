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
  EXPECT_TRUE(config["fits"].get<bool>());
  EXPECT_EQ(config["largest_rank"], 16);
  const auto adam = run(plan_command(), {{"config", {model}}, {"optim", {"adamw"}}, {"per-layer", {"true"}}});
  EXPECT_GT(adam["bytes"]["state"], config["bytes"]["state"]);
  EXPECT_EQ(adam["bytes"]["gradients"], adam["bytes"]["largest_gradient"]);
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
