// The Tokenizer's own promises: offsets in any bytes, special tokens, roles, decoding, threads.

#include "tessera/text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tessera/base/error.h"

namespace tessera::text {
namespace {

// Bytes 0-255 as byte-level pieces, then three merges: h e, l l, he ll.
TokenizerSpec byte_spec() {
  TokenizerSpec spec;
  spec.pre_tokenizer.emplace_back();  // ByteLevel, as decoders are by default
  spec.pre_tokenizer[0].add_prefix_space = false;
  spec.decoder.emplace_back();
  TokenId next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const int c = itself ? byte : next++;
    const std::string piece = c < 0x80 ? std::string(1, static_cast<char>(c))
                                       : std::string{static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
    spec.vocab.push_back({piece, byte});
  }
  spec.vocab.insert(spec.vocab.end(), {{"he", 256}, {"ll", 257}, {"hell", 258}});
  spec.merges = {{'h', 'e', 256}, {'l', 'l', 257}, {256, 257, 258}};
  spec.added_tokens.push_back({.content = "<|end|>", .id = 259, .special = true});
  spec.added_tokens.push_back({.content = "tool", .id = 260, .single_word = true});
  return spec;
}

std::vector<std::pair<int64_t, int64_t>> pairs(const std::vector<Span>& spans) {
  std::vector<std::pair<int64_t, int64_t>> out;
  for (const Span& span : spans) out.emplace_back(span.begin, span.end);
  return out;
}

using Pairs = std::vector<std::pair<int64_t, int64_t>>;

TEST(Tokenizer, MergesByRankAndCountsOffsetsInCharactersAndBytes) {
  const Tokenizer tokenizer(byte_spec());
  const Encoding e = tokenizer.encode("h\u00e9hello");
  EXPECT_EQ(e.ids, (std::vector<TokenId>{'h', 0xc3, 0xa9, 258, 'o'}));
  EXPECT_EQ(e.pieces[3], "hell");
  EXPECT_EQ(pairs(e.offsets), (Pairs{{0, 1}, {1, 2}, {1, 2}, {2, 6}, {6, 7}}));
  EXPECT_EQ(pairs(e.byte_offsets), (Pairs{{0, 1}, {1, 3}, {1, 3}, {3, 7}, {7, 8}}));
  EXPECT_EQ(tokenizer.decode(e.ids), "h\u00e9hello");
}

TEST(Tokenizer, ReadsBrokenUtf8AsReplacementCharactersWithOffsetsOfTheGivenBytes) {
  const Tokenizer tokenizer(byte_spec());
  const Encoding e = tokenizer.encode("a\xff\xe2\x82z");  // \xe2\x82 is one broken part
  EXPECT_EQ(tokenizer.decode(e.ids), "a\ufffd\ufffdz");
  ASSERT_EQ(e.ids.size(), 8u);
  EXPECT_EQ(e.offsets[1], (Span{1, 2}));
  EXPECT_EQ(e.byte_offsets[1], (Span{1, 2}));
  EXPECT_EQ(e.byte_offsets[4], (Span{2, 4}));
  EXPECT_EQ(e.offsets[7], (Span{3, 4}));
  EXPECT_EQ(e.byte_offsets[7], (Span{4, 5}));
}

TEST(Tokenizer, DecodesBytesThatEndInsideACharacterAsOneReplacement) {
  const Tokenizer tokenizer(byte_spec());
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{'a', 0xe2, 0x82}), "a\ufffd");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{-1, 'b', 100000}), "b");
}

TEST(Tokenizer, ParsesSpecialTokensOnlyWhenAsked) {
  const Tokenizer tokenizer(byte_spec());
  EXPECT_EQ(tokenizer.encode_ids("o<|end|>"), (std::vector<TokenId>{'o', 259}));
  EXPECT_EQ(tokenizer.encode_ids("o<|end|>", {.parse_special_tokens = false}).size(), 8u);
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{'o', 259}), "o");
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{'o', 259}, false), "o<|end|>");
  EXPECT_TRUE(tokenizer.is_special(259));
  EXPECT_FALSE(tokenizer.is_special(260));
  EXPECT_EQ(tokenizer.size(), 261);
  EXPECT_EQ(tokenizer.id("<|end|>"), 259);
  EXPECT_EQ(tokenizer.piece(258), "hell");
  EXPECT_EQ(tokenizer.piece(999), std::nullopt);
}

TEST(Tokenizer, SingleWordTokensStandAlone) {
  const Tokenizer tokenizer(byte_spec());
  EXPECT_EQ(tokenizer.encode_ids("a tool."), (std::vector<TokenId>{'a', ' ', 260, '.'}));
  EXPECT_EQ(tokenizer.encode_ids("toolx").size(), 5u);
}

TEST(Tokenizer, StrippingTokensTakeTheBlanksBesideThem) {
  TokenizerSpec spec = byte_spec();
  spec.added_tokens.push_back({.content = "<r>", .id = 261, .rstrip = true});
  spec.added_tokens.push_back({.content = "<l>", .id = 262, .lstrip = true});
  const Encoding e = Tokenizer(spec).encode("a <r> \n b <l> c");
  EXPECT_EQ(e.ids, (std::vector<TokenId>{'a', ' ', 261, 'b', 262, ' ', 'c'}));
  EXPECT_EQ(e.pieces[2], "<r> \n ");
  EXPECT_EQ(e.offsets[4], (Span{9, 13}));
}

TEST(Tokenizer, AnUnknownCharacterOfAUnigramModelCostsTenMoreThanTheWorstPiece) {
  TokenizerSpec spec;
  spec.model = TokenizerSpec::Model::unigram;
  spec.unk_id = 0;
  spec.vocab = {{"<unk>", 0, 0}, {"a", 1, 8}, {"ab", 2, -5}, {"ac", 3, -8}};
  const Tokenizer tokenizer(spec);  // an unknown character: -8 - 10 = -18
  EXPECT_EQ(tokenizer.encode_ids("ab"), std::vector<TokenId>{2});
  EXPECT_EQ(tokenizer.encode_ids("ac"), std::vector<TokenId>{3});  // -8 against 8 - 18 = -10
  const Encoding e = tokenizer.encode("xya");
  EXPECT_EQ(e.ids, (std::vector<TokenId>{0, 1}));  // unknown neighbours are one token
  EXPECT_EQ(e.pieces[0], "xy");
}

TEST(Tokenizer, OneTokenizerServesManyThreads) {
  const Tokenizer tokenizer(byte_spec());
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "hello w" + std::to_string(i) + " ";
  const auto expected = tokenizer.encode(text).ids;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) wrong[static_cast<size_t>(t)] += tokenizer.encode_ids(text) != expected;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(Tokenizer, LoadsAFolderWithItsRolesAndChatTemplate) {
  const auto folder = std::filesystem::temp_directory_path() / "tessera_tokenizer_roles";
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const char* text) { std::ofstream(folder / name) << text; };
  write("tokenizer.json", R"({"model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "hi": 3}},
                              "pre_tokenizer": {"type": "Whitespace"}})");
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "chat_template": [{"name": "tools", "template": "no"},
                                     {"name": "default", "template": "{{ x }}"}], "unk_token": null})");
  write("special_tokens_map.json", R"({"bos_token": "hi", "eos_token": "</s>", "pad_token": "<absent>"})");
  const Tokenizer tokenizer = Tokenizer::load(folder);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
  EXPECT_EQ(tokenizer.spec().chat_template, "{{ x }}");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode_ids("hi there")), "hi <unk>");
  std::filesystem::remove_all(folder);
}

TEST(Tokenizer, DecodesAnAddedTokenInItsNormalisedForm) {  // as Hugging Face's does
  const auto tokenizer = Tokenizer::from_json(R"({"added_tokens": [{"id": 2, "content": "ABC", "normalized": true}],
      "normalizer": {"type": "Lowercase"}, "model": {"type": "WordLevel", "vocab": {"a": 0, "?": 1}, "unk_token": "?"}})");
  EXPECT_EQ(tokenizer.encode_ids("xABCy"), (std::vector<TokenId>{1, 2, 1}));
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{2, 0}), "abc a");
}

}  // namespace
}  // namespace tessera::text
