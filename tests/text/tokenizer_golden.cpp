// What Hugging Face `tokenizers` answers, for small tokenizers of every family: made by tests/parity/tokenizer.py.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tessera/text/json_node.h"
#include "tessera/text/normalize.h"
#include "tessera/text/pre_tokenize.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

const std::filesystem::path golden_folder = std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/parity/golden";

nlohmann::json read_golden(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

std::string fnv(const std::string& text) {
  uint64_t value = 0xcbf29ce484222325u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", value);
}

std::string canonical(const Tokenizer& tokenizer, const Encoding& e) {
  std::string ids, pieces, spans, types;
  for (size_t i = 0; i < e.ids.size(); ++i) {
    const char* comma = i > 0 ? "," : "";
    ids += fmt::format("{}{}", comma, e.ids[i]);
    pieces += (i > 0 ? "\x1f" : "") + e.pieces[i];
    spans += fmt::format("{}{},{}", i > 0 ? ";" : "", e.offsets[i].begin, e.offsets[i].end);
    types += fmt::format("{}{}", comma, e.type_ids[i]);
  }
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", ids, pieces, spans, types, tokenizer.decode(e.ids, true), tokenizer.decode(e.ids, false));
}

class GoldenTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTokenizer, AnswersAsTheReferenceDoes) {
  const auto golden = read_golden(golden_folder / ("tokenizer_" + GetParam() + ".json"));
  const Tokenizer tokenizer = Tokenizer::from_json(golden["tokenizer"].dump(), GetParam());
  ASSERT_GT(golden["answers"].size(), 100u);
  for (const auto& answer : golden["answers"]) {
    const std::string text = answer["text"];
    SCOPED_TRACE(text);
    const Encoding encoding = tokenizer.encode(text);
    if (answer.contains("ids")) {
      EXPECT_EQ(encoding.ids, answer["ids"].get<std::vector<TokenId>>());
    }
    EXPECT_EQ(fnv(canonical(tokenizer, encoding)), answer["hash"]);
    EXPECT_EQ(tokenizer.encode_ids(text), encoding.ids);
    for (const Span& span : encoding.byte_offsets) EXPECT_LE(span.begin, span.end);
  }
  const Encoding pair = tokenizer.encode_pair("Hello there", "general  Kenobi");
  EXPECT_EQ(pair.ids, golden["pair"]["ids"].get<std::vector<TokenId>>());
  EXPECT_EQ(pair.type_ids, golden["pair"]["types"].get<std::vector<int32_t>>());
}

TEST_P(GoldenTokenizer, WrittenAndReadAgainItAnswersTheSame) {
  const auto golden = read_golden(golden_folder / ("tokenizer_" + GetParam() + ".json"));
  const Tokenizer first = Tokenizer::from_json(golden["tokenizer"].dump(), GetParam());
  const std::string written = to_tokenizer_json(first.spec());
  const Tokenizer again = Tokenizer::from_json(written, GetParam() + " written");
  EXPECT_EQ(to_tokenizer_json(again.spec()), written);
  for (const auto& answer : golden["answers"]) {
    const std::string text = answer["text"];
    EXPECT_EQ(fnv(canonical(again, again.encode(text))), answer["hash"]) << text;
  }
  EXPECT_EQ(again.encode_pair("Hello there", "general  Kenobi").ids, golden["pair"]["ids"].get<std::vector<TokenId>>());
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTokenizer,
                         testing::Values("gpt2", "llama2", "llama3", "mistral", "qwen2", "qwen3", "gemma", "smollm2", "minilm", "xlmr",
                                         "t5", "o200k", "roberta", "sparse_bytes", "word_end", "word_level", "odd_steps"),
                         [](const auto& info) { return info.param; });

// 128 code points a block, between letters and after a mark, as tests/parity/tokenizer.py lays them out.
std::vector<std::string> code_point_blocks() {
  std::vector<char32_t> codes;
  for (char32_t c = 1; c < 0x110000; ++c) {
    if (c < 0xd800 || c > 0xdfff) codes.push_back(c);
  }
  std::vector<std::string> blocks;
  for (size_t begin = 0; begin < codes.size(); begin += 128) {
    std::string block;
    for (const std::string_view between : {"a", "\u0301"}) {
      if (!block.empty()) block += "e";
      for (size_t i = begin; i < std::min(begin + 128, codes.size()); ++i) {
        block += between;
        append_utf8(block, codes[i]);
      }
    }
    blocks.push_back(block + "\u0334");
  }
  return blocks;
}

std::string spans_of(const PreTokenizerChain& chain, const std::string& block) {
  AlignedText text(block, 0, Tracking::on);
  std::vector<ByteRange> words;
  EXPECT_TRUE(chain.apply(text, words));
  std::string out;
  size_t chars = 0, done = 0;
  for (const ByteRange& word : words) {
    const Align origin = text.origin(word.begin, word.end);
    const size_t begin = chars + count_chars(std::string_view(block).substr(done, origin.begin - done));
    const size_t end = begin + count_chars(std::string_view(block).substr(origin.begin, origin.end - origin.begin));
    out.append(out.empty() ? "" : ";").append(fmt::format_int(begin).c_str()).append(",").append(fmt::format_int(end).c_str());
    chars = end;
    done = origin.end;
  }
  return out;
}

TEST(GoldenUnicode, EveryStepTreatsEveryCodePointAsTheReferenceDoes) {
  const auto golden = read_golden(golden_folder / "unicode_steps.json");
  const auto blocks = code_point_blocks();
  const std::string source = "golden";
  for (const auto& row : golden["steps"]) {
    const bool normalizes = row.contains("normalizer");
    const std::string json = (normalizes ? row["normalizer"] : row["pre_tokenizer"]).dump();
    SCOPED_TRACE(json);
    simdjson::dom::parser parser;
    const JsonNode node(parser.parse(json).value_unsafe(), "", source);
    std::vector<NormalizerStep> normalizers;
    std::vector<PreTokenizerStep> cuts;
    if (normalizes) {
      parse_normalizer(node, normalizers);
    } else {
      parse_pre_tokenizer(node, cuts);
    }
    const NormalizerChain normalizer(normalizers, source);
    const PreTokenizerChain cutter(cuts, source);
    std::string all;
    for (const std::string& block : blocks)
      all += (all.empty() ? "" : "\n") + (normalizes ? normalizer.apply(block) : spans_of(cutter, block));
    EXPECT_EQ(fnv(all), row["hash"]);
  }
}

}  // namespace
}  // namespace tessera::text
