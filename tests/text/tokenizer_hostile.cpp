// Broken and hostile tokenizer.json: one clear line each. And texts made to be slow: they are not.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/text/tokenizer.h"

namespace tessera::text {
namespace {

std::string refusal(const std::string& json) {
  try {
    Tokenizer::from_json(json, "t.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string with_model(const std::string& rest) {
  return R"({"model": {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0}})" + rest + "}";
}

TEST(HostileTokenizerJson, EveryComplaintNamesFileAndField) {
  EXPECT_EQ(refusal(""), "t.json: not JSON: Empty: no JSON found; copy the file again");
  EXPECT_EQ(refusal("[]"), "t.json: the document is an array, expected an object; correct the file or copy it again");
  EXPECT_EQ(refusal("{}"), "t.json: model is missing; correct the file or copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "Magic", "vocab": {}}})"),
            "t.json: model.type is \"Magic\", expected BPE, Unigram, WordPiece or WordLevel; correct the file or copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "BPE", "vocab": {"a": 0}}})"),
            "t.json: model.merges is missing; correct the file or copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})"),
            "t.json: model.merges is a list whose item 0 names the token \"b\", expected tokens of the vocabulary; correct the file or "
            "copy it again");
  EXPECT_EQ(
      refusal(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}})"),
      "t.json: model.merges is a list whose item 0 is \"a\", expected \"left right\" or [left, right]; correct the file or copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "BPE", "dropout": 0.1, "vocab": {"a": 0}, "merges": []}})"),
            "t.json: model.dropout is 0.1, expected no dropout: it makes the ids random; correct the file or copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "WordLevel", "vocab": {"a": -1}}})"),
            "t.json: model.vocab.a is -1, expected an id from 0 to 2147483647; correct the file or copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "WordLevel", "vocab": {"a": 2000000000}}})"),
            "t.json: token \"a\" has id 2000000000, expected 0 to 1048583; the file is damaged, copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 0}}})"),
            "t.json: the id of \"b\" (id 0) is given twice in the vocabulary; the file is damaged, copy it again");
  constexpr const char* twice = "t.json: the token \"a\" (id 1) is given twice in the vocabulary; the file is damaged, copy it again";
  EXPECT_EQ(refusal(R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "a": 1}}})"), twice);
  EXPECT_EQ(refusal(R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "a": 1}}, "added_tokens": [{"id": 0, "content": "a"}]})"), twice);
  EXPECT_EQ(refusal(R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 0, "content": "a"}]})"),
            "accepted");
  EXPECT_EQ(refusal(R"({"model": {"type": "Unigram", "unk_id": 5, "vocab": [["a", -1]]}})"),
            "t.json: unk_id 5 is not in the vocabulary of 1 tokens; the file is damaged, copy it again");
  EXPECT_EQ(refusal(R"({"model": {"type": "Unigram", "vocab": [["a"]]}})"),
            "t.json: model.vocab is a list whose item 0 is not a piece with its score, expected [[piece, score], ...]; correct the file or "
            "copy it again");
}

TEST(HostileTokenizerJson, ComplaintsAboutStepsNameThem) {
  EXPECT_EQ(refusal(with_model(R"(, "normalizer": {"type": "NFX"})")),
            "t.json: normalizer.type is \"NFX\", expected one of NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Replace, Prepend, "
            "BertNormalizer, Precompiled, ByteLevel, Nmt; correct the file or copy it again");
  EXPECT_EQ(refusal(with_model(R"(, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "////fw=="})")),
            "t.json: normalizer Precompiled: its map of 4 bytes promises a trie of 2147483647; the file is damaged, copy it again");
  EXPECT_EQ(refusal(with_model(R"(, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(a"},
                                   "behavior": "Isolated", "invert": false}]})")),
            "t.json: cannot read the pattern \"(a\": missing closing parenthesis; give a pattern that PCRE2 reads");
  EXPECT_EQ(refusal(with_model(R"(, "pre_tokenizer": {"type": "Metaspace", "replacement": "ab"})")),
            "t.json: pre_tokenizer.replacement is \"ab\", expected one character; correct the file or copy it again");
  EXPECT_EQ(
      refusal(with_model(R"(, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "X", "type_id": 0}}],
                                   "pair": [], "special_tokens": {}})")),
      "t.json: post_processor.single[0].SpecialToken.id is \"X\", expected a name in special_tokens; correct the file or copy it again");
  EXPECT_EQ(refusal(with_model(R"(, "truncation": {"max_length": -1})")),
            "t.json: truncation.max_length is -1, expected an integer from 0 to 1000000000; correct the file or copy it again");
}

TEST(HostileTokenizerJson, DeepNestingIsRefused) {
  EXPECT_EQ(refusal(R"({"model": )" + std::string(100000, '[')).rfind("t.json: not JSON: ", 0), 0u);
}

TEST(HostileTokenizerJson, TextThatCannotBeSaidIsOneLine) {
  const auto tokenizer = Tokenizer::from_json(R"({"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"a": 0}}})", "t.json");
  try {
    tokenizer.encode_ids("b\nc");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "t.json: \"b\\nc\" is not in the vocabulary, nor is the unknown token \"?\"; add it");
  }
}

TEST(HostileTokenizerJson, ReplacementsCannotFillTheMemory) {
  const std::string content(100000, 'x');
  const auto tokenizer = Tokenizer::from_json(
      with_model(R"(, "normalizer": {"type": "Replace", "pattern": {"String": "y"}, "content": ")" + content + "\"}"), "t.json");
  EXPECT_THROW(tokenizer.encode_ids(std::string(30000, 'y')), InputError);
}

// Pieces for runs of a, so that a long run merges to the end.
std::string runs_json(const std::string& pre_tokenizer) {
  std::string vocab, merges, piece = "a";
  int id = 0;
  for (; piece.size() <= 64; piece += piece) {
    vocab += fmt::format("{}\"{}\": {}", id > 0 ? ", " : "", piece, id);
    if (id > 0) merges += fmt::format("{}\"{} {}\"", id > 1 ? ", " : "", piece.substr(piece.size() / 2), piece.substr(piece.size() / 2));
    ++id;
  }
  return fmt::format(R"({{"model": {{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "vocab": {{{}, "<unk>": {}}}, "merges": [{}]}},
                          "normalizer": {{"type": "NFC"}}, "pre_tokenizer": {}}})",
                     vocab, id, merges, pre_tokenizer);
}

TEST(LongRuns, AMegabyteOfOneKindOfCharacterTakesLinearTime) {
  const std::string llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+)";
  const auto split = [](const std::string& pattern) {
    return fmt::format(R"({{"type": "Split", "pattern": {{"Regex": "{}"}}, "behavior": "Isolated", "invert": false}})", pattern);
  };
  const std::vector<std::string> pre_tokenizers = {R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true})",
                                                   split(llama3), split("(?:" + llama3 + ")"), R"({"type": "BertPreTokenizer"})",
                                                   R"({"type": "Metaspace", "replacement": "_"})"};
  for (const std::string& pre_tokenizer : pre_tokenizers) {
    const auto tokenizer = Tokenizer::from_json(runs_json(pre_tokenizer));
    for (const std::string_view unit : {"a", " ", "\n", "\u0301", "'", "1", " \n", "\u4e00", "a "}) {
      std::string text;
      while (text.size() < 1'000'000) text += unit;
      const auto start = std::chrono::steady_clock::now();
      const auto ids = tokenizer.encode_ids(text);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      EXPECT_LE(seconds, 20) << pre_tokenizer << " " << unit;  // quadratic time would be hours
      if (unit == "a" && pre_tokenizer.find("Bert") != std::string::npos) {
        EXPECT_EQ(ids, std::vector<TokenId>(15625, 6));
      }
    }
  }
}

}  // namespace
}  // namespace tessera::text
