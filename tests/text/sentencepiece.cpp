#include "tessera/text/sentencepiece.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/tensor/gguf.h"
#include "tessera/text/gguf_vocab.h"
#include "tessera/text/stream_decode.h"
#include "tessera/text/tokenizer_json.h"

namespace tessera::text {
namespace {

const std::string kGolden = TESSERA_SOURCE_DIR "/tests/parity/golden/";

std::vector<TokenId> plain_ids(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode_ids(text, {.add_special_tokens = false, .parse_special_tokens = false});
}

void compare_with_wheel(const std::string& model) {
  SCOPED_TRACE(model);
  std::ifstream in(kGolden + "sentencepiece.json");
  const auto rows = nlohmann::json::parse(in)["models"][model];
  ASSERT_GE(rows.size(), 100u);
  const Tokenizer tokenizer = load_sentencepiece(kGolden + "sentencepiece/" + model + ".model");
  for (const auto& row : rows)
    EXPECT_EQ(plain_ids(tokenizer, row["text"].get<std::string>()), row["ids"].get<std::vector<TokenId>>()) << row["text"];
}

TEST(SentencePiece, IdsAreThoseOfTheWheel) {
  for (const char* model : {"bpe_bytes", "bpe_symbols", "unigram_bytes", "char"}) compare_with_wheel(model);
}

TEST(SentencePiece, AsATokenizerJsonItGivesTheSameIds) {
  for (const std::string model : {"bpe_bytes", "bpe_symbols", "unigram_bytes", "char"}) {
    SCOPED_TRACE(model);
    const Tokenizer tokenizer = load_sentencepiece(kGolden + "sentencepiece/" + model + ".model");
    const Tokenizer again = Tokenizer::from_json(to_tokenizer_json(tokenizer.spec()), model);
    std::ifstream in(kGolden + "sentencepiece.json");
    const auto rows = nlohmann::json::parse(in)["models"][model];
    EXPECT_GT(rows.size(), 10U);
    for (const auto& row : rows) {
      const auto text = row["text"].get<std::string>();
      const auto ids = tokenizer.encode_ids(text);
      EXPECT_EQ(again.encode_ids(text), ids) << text;
      EXPECT_EQ(again.decode(ids, true), tokenizer.decode(ids, true)) << text;
    }
    EXPECT_GE(again.size(), tokenizer.size());
    for (TokenId id = 0; id < tokenizer.size(); ++id) {
      EXPECT_TRUE(!tokenizer.piece(id) || again.piece(id) == tokenizer.piece(id)) << id;
    }
  }
}

TEST(SentencePiece, EveryCutOfAModelEndsInOneLine) {
  const std::string bytes = read_file(kGolden + "sentencepiece/char.model");
  size_t refused = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    try {
      sentencepiece_spec(parse_sentencepiece(std::string_view(bytes).substr(0, size)));
    } catch (const InputError& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(refused, bytes.size() / 2);
  EXPECT_THROW(parse_sentencepiece("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), InputError);
}

TEST(SentencePiece, ALongPieceCostsNoSearchOfEveryPartOfIt) {
  SentencePieceModel model;
  model.bpe = true;
  for (const std::string& piece : {std::string("<unk>"), std::string("a"), std::string(999'999, 'a'), std::string(1'000'000, 'a')})
    model.pieces.push_back({piece, -1.0F, piece == "<unk>" ? PieceType::unknown : PieceType::normal});
  EXPECT_EQ(sentencepiece_spec(std::move(model)).merges.size(), 2U);  // hashing all halves would touch 10^12 bytes
}

TEST(SentencePiece, GreaterScoresMergeFirstThenLowerIdsAndNoNumbersLast) {
  SentencePieceModel model;
  model.bpe = true;
  const double none = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::string, double>> pieces = {{"a", 0},      {"b", 0},   {"ab", none}, {"ba", -2},
                                                              {"aba", none}, {"bb", -1}, {"bab", -2},  {"aa", -1}};
  for (const auto& [piece, score] : pieces) model.pieces.push_back({piece, score, PieceType::normal});
  std::vector<std::array<TokenId, 3>> merges;
  for (const Merge& merge : sentencepiece_spec(std::move(model)).merges) merges.push_back({merge.left, merge.right, merge.merged});
  const std::vector<std::array<TokenId, 3>> expected = {{1, 1, 5}, {0, 0, 7}, {1, 0, 3}, {1, 2, 6},
                                                        {3, 1, 6}, {0, 1, 2}, {0, 3, 4}, {2, 0, 4}};
  EXPECT_EQ(merges, expected);
}

TEST(GgufVocab, ByteLevelAndSentencePieceVocabularies) {
  tensor::GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("tokenizer.ggml.model", "llama");
  writer.set("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁ab"});
  writer.set("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, -9, -8, -7, -1, -2});
  writer.set("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 1, 1, 1, 1, 1});
  writer.set_u32("tokenizer.ggml.bos_token_id", 1);
  const auto path = std::filesystem::temp_directory_path() / ("tessera_vocab_" + std::to_string(::getpid()) + ".gguf");
  writer.write(path);
  const Tokenizer llama = load_gguf_vocab(path);
  EXPECT_EQ(llama.encode_ids("ab ab"), (std::vector<TokenId>{1, 7, 7}));
  EXPECT_EQ(llama.decode(std::vector<TokenId>{7, 7}), "ab ab");
  writer.set("tokenizer.ggml.model", "gpt2");
  writer.set("tokenizer.ggml.pre", "nobody-knows");
  writer.set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  writer.write(path);
  EXPECT_THROW(load_gguf_vocab(path), InputError);
  writer.set("tokenizer.ggml.pre", "gpt-2");
  writer.write(path);
  EXPECT_EQ(load_gguf_vocab(path).encode_ids("ab"), (std::vector<TokenId>{6}));
  std::filesystem::remove(path);
}

TEST(StreamDecoder, NeverCutsACharacterAndJoinsToTheWhole) {
  for (const char* model : {"bpe_bytes", "unigram_bytes"}) {
    const Tokenizer tokenizer = load_sentencepiece(kGolden + "sentencepiece/" + model + ".model");
    for (const std::string text :
         {"Größe 😀👨‍👩‍👧 done", "日本語 and ελληνικά, twice 🙂🙂", "\xF0\x9F", ""}) {
      std::vector<TokenId> ids = plain_ids(tokenizer, text);
      for (int repeat = 0; repeat < 2; ++repeat, ids.insert(ids.end(), ids.begin(), ids.end())) {
        StreamDecoder stream(tokenizer);
        std::string all;
        for (const TokenId id : ids) {
          const std::string piece = stream.push(id);
          EXPECT_EQ(piece.find("\uFFFD"), text == "\xF0\x9F" ? piece.find("\uFFFD") : std::string::npos);
          all += piece;
        }
        all += stream.finish();
        EXPECT_EQ(all, tokenizer.decode(ids));
      }
    }
  }
}

TEST(StreamDecoder, HoldsBackStopStrings) {
  const Tokenizer tokenizer = load_sentencepiece(kGolden + "sentencepiece/bpe_bytes.model");
  StreamDecoder stream(tokenizer, {.stop = {"STOP", "\nUser:"}});
  std::string all;
  for (const TokenId id : plain_ids(tokenizer, "One ST two\nUser: never")) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(piece.find("\nUser:"), std::string::npos);
    all += piece;
  }
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.stop_string(), "\nUser:");
  EXPECT_EQ(all + stream.finish(), "One ST two");
  StreamDecoder ends(tokenizer, {.stop = {"STOP"}});
  std::string rest;
  for (const TokenId id : plain_ids(tokenizer, "a STO")) rest += ends.push(id);
  EXPECT_EQ(rest, "a ");
  EXPECT_EQ(ends.finish(), "STO");
  EXPECT_THROW(StreamDecoder(tokenizer, {.stop = {""}}), InputError);
}

}  // namespace
}  // namespace tessera::text
