#include "tessera/lm/generate.h"

#include "tessera/base/error.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

static std::vector<int64_t> prompt_of(const Golden& golden, int64_t row, int64_t length) {
  const auto ids = golden["ids"][row].contiguous();
  return {ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + length};
}

static GenerateOptions greedy_options(int64_t tokens) {
  GenerateOptions options;
  options.max_tokens = tokens;
  options.sampling.temperature = 0.0;
  return options;
}

TEST(Generate, ABatchGivesEachPromptWhatItGetsAlone) {
  for (const auto& name : golden_names()) {
    Golden golden(name);
    const std::vector<std::vector<int64_t>> prompts{prompt_of(golden, 0, 14), prompt_of(golden, 1, 3), prompt_of(golden, 1, 1)};
    const auto together = generate(golden.model, prompts, greedy_options(16));
    for (size_t b = 0; b < prompts.size(); ++b) {
      const auto alone = generate(golden.model, {prompts[b]}, greedy_options(16));
      EXPECT_EQ(together.sequences[b].ids, alone.sequences[0].ids) << name << ", prompt " << b;
    }
  }
}

TEST(Generate, SequencesEndAtTheirOwnEndTokens) {
  Golden golden("llama");
  const std::vector<std::vector<int64_t>> prompts{prompt_of(golden, 0, 8), prompt_of(golden, 1, 5)};
  const auto whole = generate(golden.model, prompts, greedy_options(12));
  auto options = greedy_options(12);
  options.end_ids = {whole.sequences[0].ids[3]};
  const auto ended = generate(golden.model, prompts, options);
  const auto& first = ended.sequences[0].ids;
  EXPECT_EQ(ended.sequences[0].finish, FinishReason::stop);
  EXPECT_LE(first.size(), 4U);
  EXPECT_EQ(first.back(), options.end_ids[0]);
  const auto& other = whole.sequences[1].ids;
  const auto stop = std::find(other.begin(), other.end(), options.end_ids[0]);
  const std::vector<int64_t> expected(other.begin(), stop == other.end() ? stop : stop + 1);
  EXPECT_EQ(ended.sequences[1].ids, expected);
}

TEST(Generate, AKeptCacheContinuesWhereItWas) {
  Golden golden("gemma3");
  const auto prompt = prompt_of(golden, 0, 10);
  const auto plain = generate(golden.model, {prompt}, greedy_options(12));
  nn::KvCache cache;
  auto options = greedy_options(4);
  options.cache = &cache;
  const auto begun = generate(golden.model, {prompt}, options);
  EXPECT_EQ(cache.length, 13);  // all but the last token
  auto longer = prompt;
  longer.insert(longer.end(), begun.sequences[0].ids.begin(), begun.sequences[0].ids.end());
  options.max_tokens = 8;
  const auto rest = generate(golden.model, {longer}, options);
  auto joined = begun.sequences[0].ids;
  joined.insert(joined.end(), rest.sequences[0].ids.begin(), rest.sequences[0].ids.end());
  EXPECT_EQ(joined, plain.sequences[0].ids);
}

TEST(Generate, TheSameSeedGivesTheSameTokensAndAnotherSeedOthers) {
  Golden golden("qwen2");
  GenerateOptions options;
  options.max_tokens = 20;
  options.sampling.temperature = 2.0;
  const auto prompt = prompt_of(golden, 0, 4);
  const auto one = generate(golden.model, {prompt}, options).sequences[0].ids;
  EXPECT_EQ(one, generate(golden.model, {prompt}, options).sequences[0].ids);
  options.sampling.seed = 1;
  EXPECT_NE(one, generate(golden.model, {prompt}, options).sequences[0].ids);
}

TEST(Generate, PrefillOnlySkipStoresWhatTheSkippedLayerWouldSee) {
  torch::InferenceMode inference;
  Golden golden("llama");
  auto& model = golden.model;
  const auto ids = golden["ids"].narrow(0, 0, 1).narrow(1, 0, 9);
  auto cache = model->new_cache();
  PassOptions options;
  options.cache = &cache;
  options.skip = Skip::blocks({0}, true);
  auto pass = model->start(ids, options);
  const auto x = model->embed(ids, pass);
  EXPECT_TRUE(torch::equal(model->block(0)->forward(x, pass, 0), x));
  // By hand: the keys are the rotated k_proj of the normed stream.
  auto block = model->block(0);
  const auto k = block->self_attn->k_proj(block->input_layernorm(x)).view({1, 9, 2, 8});
  const auto expected = nn::rotate(k, pass.rope).transpose(1, 2);
  const auto stored = cache.slots[0].append(torch::zeros({1, 1, 2, 8}), torch::zeros({1, 1, 2, 8})).first.narrow(2, 0, 9);
  EXPECT_LT(error_of_scale(stored, expected), 1e-6);
}

TEST(Generate, SkippingNothingIsPlainGeneration) {
  Golden golden("llama");
  const auto prompt = prompt_of(golden, 0, 8);
  auto options = greedy_options(10);
  const auto plain = generate(golden.model, {prompt}, options).sequences[0].ids;
  options.skip = Skip::blocks({}, true);
  EXPECT_EQ(generate(golden.model, {prompt}, options).sequences[0].ids, plain);
  options.skip = Skip::blocks({1}, true);
  EXPECT_NE(generate(golden.model, {prompt}, options).sequences[0].ids, plain);
}

TEST(Generate, SaysBothNumbersWhenTheContextIsTooShort) {
  Golden golden("llama");
  try {
    generate(golden.model, {prompt_of(golden, 0, 20)}, greedy_options(45));
    FAIL() << "20 + 45 tokens do not fit 64";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "the prompt has 20 tokens and 45 are to follow; the model's context is 64; shorten the prompt or ask for fewer");
  }
  EXPECT_THROW(generate(golden.model, {{}}, greedy_options(1)), InputError);
  EXPECT_THROW(generate(golden.model, {{96}}, greedy_options(1)), InputError);
  EXPECT_THROW(generate(golden.model, {{-1}}, greedy_options(1)), InputError);
  auto options = greedy_options(1);
  options.stop = {"x"};
  EXPECT_THROW(generate(golden.model, {{5}}, options), InputError) << "stop strings without a tokenizer";
}

TEST(Generate, TheCallbackHearsEveryTokenAndCanStop) {
  Golden golden("gpt2");
  std::vector<int64_t> heard;
  const auto result = generate(golden.model, {prompt_of(golden, 0, 6)}, greedy_options(10), nullptr, [&](const TokenEvent& event) {
    heard.push_back(event.id);
    return heard.size() < 4;
  });
  EXPECT_EQ(heard.size(), 4U);
  EXPECT_EQ(result.sequences[0].ids, heard);
  EXPECT_EQ(result.sequences[0].finish, FinishReason::interrupted);
  EXPECT_EQ(result.timings.decoded_tokens, 3);
}

}  // namespace tessera::lm
