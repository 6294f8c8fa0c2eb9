#include "tessera/eval/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/text/tokenizer.h"
#include "tests/eval/golden.h"

namespace tessera::eval {
namespace {

// Letters a-h and the space, with two merges, one of which joins a space to what follows.
text::Tokenizer letters() {
  return text::Tokenizer::from_json(
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
          "decoder":null,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
          "fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
          "vocab":{"a":3,"b":4,"c":5,"d":6,"e":7,"f":8,"g":9,"h":10," ":11,"ab":12,":":13,": ":14," c":15},
          "merges":[["a","b"],[" ","c"],[":"," "]]}})");
}

std::vector<ChoiceItem> random_items(size_t count) {
  RandomStream random(4, "choices test");
  const auto word = [&](uint64_t most) {
    std::string text;
    for (uint64_t i = 0, n = 1 + random.below(most); i < n; ++i) text += static_cast<char>('a' + random.below(8));
    return text;
  };
  std::vector<ChoiceItem> items(count);
  for (ChoiceItem& item : items) {
    item.question = word(12) + ":";
    for (uint64_t i = 0, n = 2 + random.below(4); i < n; ++i) item.choices.push_back(" " + word(6));
    item.answer = random.below(item.choices.size());
  }
  return items;
}

// The log-likelihood of a choice by one whole pass of question and choice, in float64.
double by_definition(lm::Transformer& model, const text::Tokenizer& tokenizer, const std::string& text, size_t context) {
  const auto ids = tokenizer.encode_ids(text);
  const auto input = torch::tensor(std::vector<int64_t>(ids.begin(), ids.end())).unsqueeze(0);
  const torch::NoGradGuard no_gradient;
  const auto logs = torch::log_softmax(model->forward(input)[0].to(torch::kFloat64), -1);
  double sum = 0;
  for (size_t i = context; i < ids.size(); ++i) sum += logs[static_cast<int64_t>(i) - 1][ids[i]].item<double>();
  return sum;
}

TEST(Choices, ScoreWhatWholePassesWould) {
  auto model = golden_model();
  const auto tokenizer = letters();
  const auto items = random_items(40);
  const auto result = choice_accuracy(model, tokenizer, items);
  ASSERT_EQ(result.scores.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    // ": " is one token: the question's ":" belongs to the choices, and the context ends before it.
    const size_t context = tokenizer.encode_ids(items[i].question).size() - 1;
    ASSERT_EQ(result.scores[i].nats.size(), items[i].choices.size());
    size_t best = 0;
    for (size_t c = 0; c < items[i].choices.size(); ++c) {
      EXPECT_NEAR(result.scores[i].nats[c], by_definition(model, tokenizer, items[i].question + items[i].choices[c], context), 2e-4);
      if (result.scores[i].nats[c] > result.scores[i].nats[best]) best = c;
    }
    EXPECT_EQ(result.scores[i].likeliest, best);
    EXPECT_EQ(result.right[i], best == items[i].answer);
  }
}

TEST(Choices, DoNotDependOnTheBatch) {
  auto model = golden_model();
  const auto items = random_items(30);
  ChoiceOptions one, many;
  one.batch = 1;
  many.batch = 100'000;
  const auto a = choice_accuracy(model, letters(), items, one), b = choice_accuracy(model, letters(), items, many);
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t c = 0; c < items[i].choices.size(); ++c) EXPECT_NEAR(a.scores[i].nats[c], b.scores[i].nats[c], 1e-4);
  EXPECT_EQ(a.right, b.right);
}

TEST(Choices, CountAccuracyByBothRulesAndChance) {
  auto model = golden_model();
  auto items = random_items(20);
  const auto first = choice_accuracy(model, letters(), items);
  double chance = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].answer = first.scores[i].likeliest_by_length;
    chance += 1.0 / static_cast<double>(items[i].choices.size());
    const auto per_byte = [&](size_t c) { return first.scores[i].nats[c] / static_cast<double>(items[i].choices[c].size() - 1); };
    for (size_t c = 0; c < items[i].choices.size(); ++c) EXPECT_GE(per_byte(items[i].answer), per_byte(c));
  }
  const auto second = choice_accuracy(model, letters(), items);
  EXPECT_EQ(second.accuracy_by_length, 1);
  EXPECT_LT(second.accuracy, 1) << "the longer choices lose without normalisation";
  EXPECT_NEAR(second.chance, chance / 20, 1e-12);
  EXPECT_EQ(second.items, 20);
  EXPECT_EQ(to_json(second)["accuracy_by_length"], 1);
}

TEST(Choices, StopWhenAsked) {
  auto model = golden_model();
  ChoiceOptions options;
  options.batch = 1;
  options.progress = [](int64_t done, int64_t) { return done < 3; };
  const auto items = random_items(10);
  EXPECT_EQ(choice_accuracy(model, letters(), items, options).items, 3);
}

TEST(Choices, RefuseItemsThatCannotBeScored) {
  auto model = golden_model();
  const auto message = [&](ChoiceItem item) -> std::string {
    try {
      choice_accuracy(model, letters(), std::vector{std::move(item)});
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({"a", {"b"}, 0}), "item 1 has 1 choices; it must have 2 or more");
  EXPECT_EQ(message({"a", {"b", "c"}, 2}), "item 1: answer 2 of 2 choices; give an index from 0");
  EXPECT_EQ(message({"ad", {"b", ""}, 0}), "item 1: a choice adds no token to the question; give it some text");
  EXPECT_EQ(message({"a", {"b", "c"}, 0}), "item 1: the question gives no token that all choices share; give it some text");
}

std::vector<ChoiceItem> read(const std::string& jsonl) {
  const std::string path = testing::TempDir() + "/tessera_choice_items.jsonl";
  std::ofstream(path) << jsonl;
  return read_choice_items(path);
}

TEST(ChoiceItems, AreReadInTheFormatsOfTheField) {
  const auto items = read(
      "{\"question\":\"Q?\",\"choices\":[\"x\",\"y\"],\"answer\":1}\n"
      "{\"context\":\"C.\",\"question\":\"Q? \",\"choices\":[\"x\",\"y\",\"z\"],\"answer\":\"C\"}\n"
      "{\"question\":\"Q?\",\"choices\":{\"text\":[\"x\",\"y\"],\"label\":[\"1\",\"2\"]},\"answerKey\":\"2\"}\n"
      "{\"question\":\"Q?\",\"choices\":{\"text\":[\"x\",\"y\"],\"label\":[\"A\",\"B\"]},\"answerKey\":\"B\"}\n"
      "{\"question\":\"Q?\",\"options\":[\"\\nx\",\"y\"],\"answer\":\"y\"}\n"
      "{\"question\":\"How many?\",\"choices\":[1,2],\"label\":0}\n");
  ASSERT_EQ(items.size(), 6U);
  EXPECT_EQ(items[0].choices, (std::vector<std::string>{" x", " y"}));
  EXPECT_EQ(items[0].answer, 1U);
  EXPECT_EQ(items[1].question, "C.\nQ? ");
  EXPECT_EQ(items[1].choices[0], "x") << "the question ends with a space already";
  EXPECT_EQ(items[1].answer, 2U);
  EXPECT_EQ(items[2].answer, 1U) << "a label, not an index";
  EXPECT_EQ(items[3].answer, 1U);
  EXPECT_EQ(items[4].choices[0], "\nx");
  EXPECT_EQ(items[4].answer, 1U);
  EXPECT_EQ(items[5].choices[1], " 2");
}

TEST(ChoiceItems, AreMadeFromWordNetsFolder) {
  const std::filesystem::path folder = "/usr/share/wordnet";
  if (!std::filesystem::exists(folder / "data.noun")) GTEST_SKIP() << "install wordnet-base";
  const auto items = read_choice_items(folder);
  ASSERT_EQ(items.size(), 300U);
  for (const auto& item : items) {
    EXPECT_EQ(item.question.find("Definition: "), 0U);
    EXPECT_EQ(item.choices.size(), 4U);
    EXPECT_LT(item.answer, 4U);
  }
}

TEST(ChoiceItems, OfAnEmptyFileAreAnErrorThatSaysSo) {
  for (const char* name : {"empty.jsonl", "empty.csv", "empty.txt"}) {
    const auto path = std::filesystem::path(testing::TempDir()) / name;
    std::ofstream(path).close();
    EXPECT_THAT(
        [&] { read_choice_items(path); },
        testing::ThrowsMessage<InputError>(path.string() + " is empty; give one JSON object a line with question, choices and answer"));
  }
}

TEST(ChoiceItems, NameTheLineOfAWrongOne) {
  const auto message = [](const std::string& line) -> std::string {
    try {
      read("{\"question\":\"Q?\",\"choices\":[\"x\",\"y\"],\"answer\":1}\n" + line + "\n");
    } catch (const InputError& error) {
      return std::string(error.what()).substr(std::string(error.what()).find("jsonl:"));
    }
    return "";
  };
  EXPECT_EQ(message("{\"question\":\"Q?\",\"answer\":1}"), "jsonl:2: there is no field choices; it has question, answer");
  EXPECT_EQ(message("{\"question\":\"Q?\",\"choices\":[\"x\"],\"answer\":0}"), "jsonl:2: the item has 1 choices; it must have 2 or more");
  EXPECT_EQ(message("{\"question\":\"Q?\",\"choices\":7,\"answer\":0}"),
            "jsonl:2: the choices are no list; give \"choices\": [\"...\", \"...\"]");
  for (const char* answer : {"2", "-1", "\"D\"", "\"none\"", "null", "1.5"})
    EXPECT_EQ(message(std::string("{\"question\":\"Q?\",\"choices\":[\"x\",\"y\"],\"answer\":") + answer + "}"),
              "jsonl:2: the answer names none of the 2 choices; give an index from 0, a letter, a label or a choice's text")
        << answer;
  EXPECT_EQ(message("{\"question\":\"\",\"choices\":[\"x\",\"y\"],\"answer\":0}"), "jsonl:2: the question is empty; give some text");
}

}  // namespace
}  // namespace tessera::eval
