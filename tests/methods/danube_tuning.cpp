// Danube's chat template, SFT with masked prompts, DPO.

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tessera/methods/danube/dpo.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/methods/danube/sft.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"
#include "tests/methods/danube_model.h"

namespace tessera::danube {
namespace {

using Json = nlohmann::ordered_json;

Json turn(const char* role, const char* content) { return {{"role", role}, {"content", content}}; }

TEST(DanubeTemplate, IsThePublishedOneByteForByte) {
  const text::ChatTemplate chat(kChatTemplate, "<s>", "</s>");
  const auto render = [&](const Json& messages, bool open) {
    text::ChatOptions options;
    options.add_generation_prompt = open;
    return chat.render(messages, options).text;
  };
  EXPECT_EQ(render(Json::array({turn("user", "Why?")}), true), "<|prompt|>Why?</s><|answer|>");
  EXPECT_EQ(render(Json::array({turn("system", "Be brief."), turn("user", "Why?"), turn("assistant", "So.")}), false),
            "<|system|>Be brief.</s><|prompt|>Why?</s><|answer|>So.</s>");
  EXPECT_EQ(render(Json::array({turn("system", "Be brief.")}), true), "<|system|>Be brief.</s><|answer|>");
  EXPECT_THROW(render(Json::array({turn("tool", "x")}), true), InputError);
}

struct Chat {
  text::Tokenizer tokenizer = text::Tokenizer::from_json(small_tokenizer_json());
  text::ChatTemplate chat{kChatTemplate, "", "<|endoftext|>"};
  train::ChatEncoder encoder{.tokenizer = tokenizer, .chat = chat};
  int64_t end() const { return tokenizer.id("<|endoftext|>").value(); }
};

TEST(SftRows, TrainAnswersWithTheirEndAndNothingElse) {
  const Chat c;
  const auto example =
      c.encoder({turn("user", "the sea"), turn("assistant", "the ship"), turn("user", "night"), turn("assistant", "left")});
  const auto rows = sft_rows({example}, {0}, true);
  std::vector<text::TokenId> trained;
  for (int64_t i = 0; i < rows.targets.size(1); ++i) {
    const int64_t target = rows.targets[0][i].item<int64_t>();
    if (target >= 0) {
      trained.push_back(static_cast<text::TokenId>(target));
      EXPECT_EQ(target, example.tokens[static_cast<size_t>(i) + 1]);
    }
  }
  EXPECT_EQ(c.tokenizer.decode(trained, false), "the ship<|endoftext|>left<|endoftext|>");
  EXPECT_EQ(sft_rows({example}, {0}, false).targets.ge(0).sum().item<int64_t>(), static_cast<int64_t>(example.tokens.size()) - 1);
  const auto padded = sft_rows({example, c.encoder({turn("user", "a"), turn("assistant", "b")})}, {0, 1}, true);
  EXPECT_EQ(padded.targets[1].ge(0).sum().item<int64_t>(), 2) << "padding is never a target";
}

TEST(SftRows, TheLossIsTheMeanOverAnswerTokens) {
  const Chat c;
  auto model = small_mistral(c.tokenizer.size());
  const auto long_one = c.encoder({turn("user", "the sea"), turn("assistant", "the ship in the night")});
  const auto short_one = c.encoder({turn("user", "a"), turn("assistant", "b")});
  const auto rows = sft_rows({long_one, short_one}, {0, 1}, true);
  double by_hand = 0.0;
  int64_t counted = 0;
  torch::NoGradGuard no_grad;
  for (const auto& example : {long_one, short_one}) {  // alone and without padding
    const auto logits = model->forward(torch::tensor(example.tokens).unsqueeze(0))[0].log_softmax(-1);
    for (size_t i = 1; i < example.tokens.size(); ++i) {
      if (!example.answer[i]) continue;
      by_hand -= logits[static_cast<int64_t>(i) - 1][example.tokens[i]].item<double>();
      ++counted;
    }
  }
  EXPECT_EQ(rows.targets.ge(0).sum().item<int64_t>(), counted);
  EXPECT_NEAR(train::language_loss(model, rows, false).item<double>(), by_hand, 1e-4 * by_hand);
}

TEST(SftRows, OnlyMaskedTokensGiveNoGradient) {
  auto model = small_mistral(50);
  const train::ChatExample masked{.tokens = {1, 2, 3, 4}, .answer = {false, false, false, false}};
  train::language_loss(model, sft_rows({masked}, {0}, true), false).backward();
  for (const auto& parameter : model->parameters()) {
    if (parameter.grad().defined()) {
      EXPECT_EQ(parameter.grad().abs().sum().item<double>(), 0.0);
    }
  }
}

TEST(ExampleOrder, PassesOverEverythingOnceAnEpoch) {
  const ExampleOrder order{.examples = 10, .batch = 4, .epochs = 2.0, .seed = 3};
  EXPECT_EQ(order.steps(), 5);
  std::vector<size_t> seen;
  for (int64_t step = 1; step <= 5; ++step)
    for (const size_t i : order.of_step(step)) seen.push_back(i);
  ASSERT_EQ(seen.size(), 20U);
  const std::vector<size_t> first(seen.begin(), seen.begin() + 10), second(seen.begin() + 10, seen.end());
  EXPECT_THAT(first, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(second, testing::UnorderedElementsAreArray(first));
  EXPECT_NE(first, second);
  const ExampleOrder half{.examples = 10, .batch = 4, .epochs = 0.5};
  EXPECT_EQ(half.steps(), 2);
  EXPECT_EQ(half.of_step(2).size(), 1U) << "the last step takes what is left";
}

std::vector<TokenPair> pairs(const Chat& c) {
  const auto pair = [&](const char* good, const char* bad) {
    return TokenPair{c.encoder({turn("user", "the sea"), turn("assistant", good)}),
                     c.encoder({turn("user", "the sea"), turn("assistant", bad)})};
  };
  return {pair("the ship in the night", "x"), pair("storm", "the captain feared the storm"), pair("a", "b")};
}

TEST(Dpo, BeginsAtLn2AndPushesTheChosenUp) {
  const Chat c;
  auto model = small_mistral(c.tokenizer.size());
  const Tuning tuning{.lora_rank = 4, .lora_alpha = 16.0};
  prepare_tuning(model, tuning);
  EXPECT_EQ(model->block(0)->self_attn->q_proj->low_rank->scale, 4.0);
  auto task = tuned_task(model, tuning, {}, "");
  const auto given = pairs(c);
  const DpoOptions options{.order = {.examples = 3, .batch = 3, .epochs = 20.0}, .preference = {.beta = 0.2}};
  const auto run = add_dpo_batches(task, model, given, options);
  EXPECT_EQ(run.tokens % 20, 0);
  const auto before = reference_log_probs(model, given, false);
  train::Trainer trainer(std::move(task),
                         {.optimizer = [](std::vector<train::Parameter> p) { return train::make_optimizer({}, std::move(p)); },
                          .schedule = {.decay = train::Decay::constant, .peak = 1e-2, .total = run.tokens}});
  EXPECT_NEAR(trainer.step().loss, std::log(2.0), 1e-6);
  EXPECT_NEAR(run.figures->margin, 0.0, 1e-5);
  double loss = 1.0;
  for (int i = 1; i < 20; ++i) loss = trainer.step().loss;
  EXPECT_LT(loss, 0.5);
  EXPECT_EQ(run.figures->accuracy, 1.0);
  EXPECT_GT(run.figures->chosen_reward, run.figures->rejected_reward);
  const auto off = reference_log_probs(model, given, false);
  EXPECT_TRUE(off.chosen.equal(before.chosen)) << "with adapters off the model is its own reference";
  torch::NoGradGuard no_grad;
  const auto ids = torch::arange(12).view({1, 12});
  const auto with = model->forward(ids);
  train::merge_lora(*model);
  EXPECT_LT((model->forward(ids) - with).abs().max().item<double>(), 1e-4 * with.abs().max().item<double>());
}

TEST(Dpo, ASwappedPairTurnsTheSign) {
  const Chat c;
  auto model = small_mistral(c.tokenizer.size());
  auto given = pairs(c);
  torch::NoGradGuard no_grad;
  const auto forth = pair_log_probs(model, given, {0, 1}, false);
  std::swap(given[0].chosen, given[0].rejected);
  const auto back = pair_log_probs(model, given, {0, 1}, false);
  EXPECT_NEAR((forth.chosen[0] - forth.rejected[0]).item<double>(), -(back.chosen[0] - back.rejected[0]).item<double>(), 1e-4);
  const auto mean = pair_log_probs(model, given, {2}, true);
  const auto sum = pair_log_probs(model, given, {2}, false);
  EXPECT_NEAR(mean.chosen[0].item<double>() * 2.0, sum.chosen[0].item<double>(), 1e-5) << "a and the end token";
}

TEST(Dpo, TheLowestRankIsTheBest) {
  const auto pair = ranked_pair("Why?", {"middling", "best", "worst"}, {1, 0, 2}, "row 1");
  EXPECT_EQ(pair.chosen.back()["content"], "best");
  EXPECT_EQ(pair.rejected.back()["content"], "worst");
  EXPECT_EQ(pair.chosen.front()["role"], "user");
  EXPECT_THROW(ranked_pair("Why?", {"one"}, {0}, "row 1"), InputError);
  EXPECT_THROW(ranked_pair("Why?", {"one", "two"}, {0}, "row 1"), InputError);
}

TEST(Dpo, LeavesOutWhatIsEqualOrTooLong) {
  const TestFolder folder;
  write_file(folder / "pairs.jsonl",
             "{\"prompt\": \"q\", \"chosen\": \"a\", \"rejected\": \"b\"}\n"
             "{\"prompt\": \"q\", \"chosen\": \"a\", \"rejected\": \"a\"}\n"
             "{\"prompt\": \"q\", \"chosen\": \"a\", \"rejected\": \"" +
                 std::string(400, 'x') + "\"}\n");
  const Chat c;
  const auto data = read_dpo(folder / "pairs.jsonl", c.encoder, 100);
  EXPECT_EQ(data.pairs.size(), 1U);
  EXPECT_EQ(data.equal, 1);
  EXPECT_EQ(data.too_long, 1);
  EXPECT_EQ(data.chosen_tokens, 2.0);
  write_file(folder / "ranked.jsonl", "{\"prompt\": \"q\", \"answers\": [\"bad\", \"good\"], \"ranks\": [3, 1]}\n");
  const auto ranked = read_dpo(folder / "ranked.jsonl", c.encoder, 100);
  EXPECT_EQ(ranked.pairs[0].chosen.tokens, c.encoder({turn("user", "q"), turn("assistant", "good")}).tokens);
}

}  // namespace
}  // namespace tessera::danube
