#include "tessera/lm/model.h"

#include "tessera/base/error.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

TEST(Model, RemovingBlocksEqualsSkippingThem) {
  torch::InferenceMode inference;
  Golden golden("gemma3");
  PassOptions options;
  options.skip = Skip::blocks({1, 5});
  const auto skipped = golden.model->forward(golden["ids"], options);
  golden.model->remove_blocks({5, 1});
  EXPECT_EQ(golden.model->depth(), 5);
  EXPECT_TRUE(torch::equal(golden.model->forward(golden["ids"]), skipped));
  auto cache = golden.model->new_cache();  // renumbered slots serve the blocks that are left
  PassOptions cached;
  cached.cache = &cache;
  const auto first = golden.model->forward(golden["ids"].narrow(1, 0, 20), cached),
             rest = golden.model->forward(golden["ids"].narrow(1, 20, 4), cached);
  EXPECT_LT(error_of_scale(torch::cat({first, rest}, 1), skipped), 1e-5);
}

TEST(Model, HasTheParametersThatItsConfigCounts) {
  for (const auto& name : golden_names()) {
    Golden golden(name);
    int64_t count = 0;
    for (const auto& parameter : golden.model->parameters()) count += parameter.numel();
    EXPECT_EQ(parameter_count(golden.model->config()), count) << name;
  }
}

TEST(Model, PackedDocumentsEqualSeparateOnes) {
  torch::InferenceMode inference;
  for (const auto& name : golden_names()) {
    Golden golden(name);
    const auto ids = golden["ids"].narrow(0, 0, 1);
    PassOptions options;
    options.documents = torch::cat({torch::zeros({1, 10}, torch::kInt64), torch::ones({1, 14}, torch::kInt64)}, 1);
    const auto packed = golden.model->forward(ids, options);
    const auto apart = torch::cat({golden.model->forward(ids.narrow(1, 0, 10)), golden.model->forward(ids.narrow(1, 10, 14))}, 1);
    EXPECT_LT(error_of_scale(packed, apart), 1e-5) << name;
  }
}

// Long enough for the kernel, which takes whole prompts; single tokens and padding go by tables.
TEST(Model, AlibiIsTheSameWholeInStepsPaddedAndInAWindow) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(8);
  for (const int64_t window : {0, 20}) {
    Golden golden("baichuan_alibi");
    auto config = golden.model->config();
    set_window(config, window);
    Transformer model(config);
    auto fresh = model->named_parameters();
    for (const auto& each : golden.model->named_parameters()) fresh[each.key()].copy_(each.value());
    model->eval();
    const auto ids = torch::randint(96, {2, 70}, torch::kInt64), whole = model->forward(ids);
    auto cache = model->new_cache();
    PassOptions options;
    options.cache = &cache;
    int64_t at = 0;
    for (const int64_t n : {50, 1, 1, 10, 1, 7}) {
      EXPECT_LT(error_of_scale(model->forward(ids.narrow(1, at, n), options), whole.narrow(1, at, n)), 1e-5) << window << ": " << at;
      at += n;
    }
    // Five tokens of padding before, and a gap of three behind the 30th token.
    const auto gap = [](int64_t n) { return torch::zeros({2, n}, torch::kInt64); };
    const auto padded = torch::cat({gap(5), ids.narrow(1, 0, 30), gap(3), ids.narrow(1, 30, 40)}, 1);
    auto real = torch::ones({2, 78}, torch::kBool);
    real.narrow(1, 0, 5).fill_(false);
    real.narrow(1, 35, 3).fill_(false);
    if (window > 0) continue;  // a window counts padding
    PassOptions masked;
    masked.mask = real;
    const auto logits = model->forward(padded, masked);
    EXPECT_LT(error_of_scale(torch::cat({logits.narrow(1, 5, 30), logits.narrow(1, 38, 40)}, 1), whole), 1e-5);
  }
}

TEST(Model, BranchesAloneMakeUpTheBlock) {
  torch::InferenceMode inference;
  for (const auto& name : golden_names()) {
    Golden golden(name);
    const auto ids = golden["ids"];
    auto pass = golden.model->start(ids);
    const auto x = golden.model->embed(ids, pass), before = x.clone();
    auto block = golden.model->block(1);
    const auto whole = block->forward(x, pass, 1), steps = block->after_ffn(block->after_attention(x, pass, 1));
    EXPECT_LT(error_of_scale(whole, steps), 1e-5) << name;
    EXPECT_TRUE(torch::equal(x, before)) << name << ": the stream given must not change";
  }
}

TEST(Model, FreshWeightsFollowTheSeedAndPostNormTrains) {
  const Json json{{"model_type", "llama"},
                  {"vocab_size", 50},
                  {"hidden_size", 16},
                  {"intermediate_size", 24},
                  {"num_hidden_layers", 2},
                  {"num_attention_heads", 2},
                  {"tessera", {{"norm_placement", "post"}}}};
  Transformer one(fresh_config(json)), two(fresh_config(json));
  init_weights(one, 3);
  init_weights(two, 3);
  EXPECT_TRUE(torch::equal(one->parameters()[0], two->parameters()[0]));
  init_weights(two, 4);
  EXPECT_FALSE(torch::equal(one->parameters()[0], two->parameters()[0]));
  const auto ids = torch::randint(50, {2, 8}, torch::kInt64);
  one->losses(one->hidden(ids), ids).mean().backward();
  for (const auto& parameter : one->named_parameters()) EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
}

TEST(Model, RefusesIdsAndPositionsItHasNot) {
  torch::InferenceMode inference;
  Golden golden("gpt2");
  EXPECT_THROW(golden.model->forward(torch::full({1, 3}, 96, torch::kInt64)), InputError);
  EXPECT_THROW(golden.model->forward(torch::full({1, 3}, -1, torch::kInt64)), InputError);
  EXPECT_THROW(golden.model->forward(torch::ones({1, 65}, torch::kInt64)), InputError);
  EXPECT_THROW(golden.model->forward(torch::ones({3}, torch::kInt64)), InputError);
  EXPECT_THROW(golden.model->block(2), InputError);
}

}  // namespace tessera::lm
