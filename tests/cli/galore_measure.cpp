// The plan of a training's memory beside the peak of one, which needs a process of its own.

#include <gtest/gtest.h>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {

// A hundred megabytes, so that what the plan counts weighs more than the holes that a heap has.
TEST(GaLoreMeasure, FindsThePeakThatThePlanSays) {
  const TemporaryFolder folder;
  const auto config = folder.write("config.json", R"({"model_type": "llama", "vocab_size": 8192, "hidden_size": 128,
    "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": false})");
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--optim", "adamw"}, {"--rank", "32", "--per-layer"}}) {
    std::vector<std::string> words{"galore", "measure", config, "--batch", "4", "--seq", "256", "--dtype", "fp32", "--json"};
    words.insert(words.end(), how.begin(), how.end());
    const auto ran = run_tessera(words);
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const auto document = ran.json();
    const double planned = document["planned_bytes"], measured = document["measured_bytes"];
    EXPECT_GT(planned, 60e6);
    EXPECT_LT(measured, 1.3 * planned) << how[1];
    EXPECT_GT(measured, 0.7 * planned) << how[1];
    ASSERT_EQ(document["losses"].size(), 3U);
    EXPECT_LT(document["losses"][2].get<double>(), document["losses"][0].get<double>()) << "one batch, again and again";
  }
}

}  // namespace tessera::cli_tests
