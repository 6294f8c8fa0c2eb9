#include "tessera/train/chat_data.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tessera/text/chat_template.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/train_bpe.h"
#include "tests/train/thrown.h"

namespace tessera::train {

namespace {

using Json = nlohmann::ordered_json;

// Danube's template: plain markers, each turn closed by </s>.
const std::string kDanube =
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<|prompt|>' + m.content + eos_token }}{% elif m.role == 'assistant' %}"
    "{{ '<|answer|>' + m.content + eos_token }}{% else %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|answer|>' }}{% endif %}";
const Json kTurns = {{{"role", "user"}, {"content", "Why?"}},
                     {{"role", "assistant"}, {"content", "Because it is."}},
                     {{"role", "user"}, {"content", "And then?"}},
                     {{"role", "assistant"}, {"content", "Nothing."}}};

text::Tokenizer tokenizer_of(text::BpeKind kind) {
  return text::Tokenizer(text::train_bpe(text::lines_of("Because it is nothing. And then why?\nNothing is because it is.\n"), kind,
                                         {.size = 320, .special_tokens = {"<unk>", "<s>", "</s>"}}));
}

// The text of the tokens that are (or are not) trained.
std::string text_of(const text::Tokenizer& tokenizer, const ChatExample& example, bool answer) {
  std::vector<text::TokenId> ids;
  for (size_t i = 0; i < example.tokens.size(); ++i) {
    if (example.answer[i] == answer) ids.push_back(static_cast<text::TokenId>(example.tokens[i]));
  }
  return tokenizer.decode(ids, false);
}

}  // namespace

class ChatFiles : public testing::Test {
 protected:
  ChatFiles() { std::filesystem::create_directories(folder); }
  ~ChatFiles() override { std::filesystem::remove_all(folder); }
  std::filesystem::path file(const std::string& text) {
    std::ofstream(folder / "rows.jsonl") << text;
    return folder / "rows.jsonl";
  }
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("tessera_chat_data_" + std::to_string(::getpid()));
};

TEST(ChatData, MarksAnswersWithTheirEnds) {
  const text::ChatTemplate chat(kDanube, "<s>", "</s>");
  for (const auto kind : {text::BpeKind::byte_level, text::BpeKind::sentencepiece}) {
    const auto tokenizer = tokenizer_of(kind);
    const auto example = ChatEncoder{tokenizer, chat}(kTurns);
    ASSERT_EQ(example.tokens.size(), example.answer.size());
    EXPECT_EQ(text_of(tokenizer, example, true), "Because it is.</s>Nothing.</s>");
    // SentencePiece puts a space before what follows a special token, here as at inference; before an answer it puts none.
    EXPECT_EQ(text_of(tokenizer, example, false), kind == text::BpeKind::byte_level
                                                      ? "<|prompt|>Why?</s><|answer|><|prompt|>And then?</s><|answer|>"
                                                      : "<|prompt|>Why?</s> <|answer|> <|prompt|>And then?</s> <|answer|>");
    const auto last = ChatEncoder{tokenizer, chat, AnswersTrained::last}(kTurns);
    EXPECT_EQ(text_of(tokenizer, last, true), "Nothing.</s>");
    EXPECT_EQ(last.tokens, example.tokens);
  }
}

TEST(ChatData, ThePromptIsTokenisedAsAtInference) {
  const text::ChatTemplate chat(kDanube, "<s>", "</s>");
  const auto tokenizer = tokenizer_of(text::BpeKind::byte_level);
  const auto example = ChatEncoder{tokenizer, chat, AnswersTrained::last}(kTurns);
  auto prompt = kTurns;
  prompt.erase(3);
  const auto ids = tokenizer.encode_ids(chat.render(prompt).text, {.add_special_tokens = false});
  ASSERT_GT(example.tokens.size(), ids.size());
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), example.tokens.begin()));
  EXPECT_FALSE(example.answer[ids.size() - 1]);
  EXPECT_TRUE(example.answer[ids.size()]);
}

TEST(ChatData, RefusesWhatCannotBeTrained) {
  const auto tokenizer = tokenizer_of(text::BpeKind::byte_level);
  const text::ChatTemplate chat(kDanube, "<s>", "</s>"), forgets("{{ messages[-1].content }}", "", "");
  const ChatEncoder encode{tokenizer, chat};
  EXPECT_EQ(input_error_of([&] {
              encode({{{"role", "user"}, {"content", "Why?"}}});
            }),
            "a conversation has no answer to train; its last message must be the assistant's");
  EXPECT_NE(input_error_of([&] { encode({{{"role", "bot"}, {"content", "x"}}}); }).find("unknown role bot"), std::string::npos);
  EXPECT_EQ(input_error_of([&] {
              encode(Json{{{"role", "user"}}});
            }),
            "a message is {\"role\":\"user\"}; expected {\"role\": ..., \"content\": ...}");
  EXPECT_NE(input_error_of([&] { (ChatEncoder{tokenizer, forgets})(kTurns); }).find("train the last answer only"), std::string::npos);
}

TEST_F(ChatFiles, ReadsTheUsualShapesOfConversations) {
  const auto path = file(
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
{"prompt": "a", "response": "b"}
{"instruction": "a", "input": "", "output": "b"}
)");
  const Json expected = {{{"role", "user"}, {"content", "a"}}, {{"role", "assistant"}, {"content", "b"}}};
  int rows = 0;
  for_each_conversation(path, [&](Json&& messages, const std::string&) {
    EXPECT_EQ(messages, expected) << "row " << rows;
    ++rows;
    return true;
  });
  EXPECT_EQ(rows, 4);
  const auto nothing = file("{\"text\": \"a\"}\n");
  EXPECT_NE(input_error_of([&] {
              for_each_conversation(nothing, [](Json&&, const std::string&) { return true; });
            }).find("rows.jsonl:1: no conversation"),
            std::string::npos);
}

TEST_F(ChatFiles, ReadsPairsAndDropsEqualOnes) {
  const auto read = read_pairs(file(
      R"({"prompt": "q", "chosen": "good", "rejected": "bad"}
{"prompt": "q", "chosen": "same", "rejected": "same"}
{"messages": [{"role": "user", "content": "q"}], "chosen": [{"role": "assistant", "content": "good"}], "rejected": [{"role": "assistant", "content": "bad"}]}
{"prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}], "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}]}
)"));
  EXPECT_EQ(read.equal, 1);
  ASSERT_EQ(read.pairs.size(), 3u);
  const Json good = {{{"role", "user"}, {"content", "q"}}, {{"role", "assistant"}, {"content", "good"}}};
  for (const auto& pair : read.pairs) {
    EXPECT_EQ(pair.chosen, good);
    EXPECT_EQ(pair.rejected[1]["content"], "bad");
  }
  EXPECT_NE(input_error_of([&] {
              read_pairs(file("{\"prompt\": \"q\", \"chosen\": \"same\", \"rejected\": \"same\"}\n"));
            }).find("1 rows had chosen == rejected"),
            std::string::npos);
}

}  // namespace tessera::train
