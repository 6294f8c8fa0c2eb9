#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/train_bpe.h"
#include "tessera/text/train_unigram.h"

namespace tessera::text {
namespace {

nlohmann::json golden_vocabulary() {
  std::ifstream in(TESSERA_SOURCE_DIR "/tests/parity/golden/train_vocab.json");
  return nlohmann::json::parse(in);
}

const std::string kText = golden_vocabulary()["text"];

TEST(TrainBpe, MergesAreThoseOfHuggingFacesTrainer) {
  const auto golden = golden_vocabulary();
  const TokenizerSpec spec = train_bpe(lines_of(kText), BpeKind::byte_level, {.size = golden["size"], .special_tokens = {"<s>", "</s>"}});
  ASSERT_EQ(spec.vocab.size(), golden["vocab"].size());
  for (size_t i = 0; i < spec.vocab.size(); ++i) ASSERT_EQ(spec.vocab[i].piece, golden["vocab"][i].get<std::string>()) << i;
  ASSERT_EQ(spec.merges.size(), golden["merges"].size());
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    EXPECT_EQ(spec.vocab[static_cast<size_t>(spec.merges[i].left)].piece, golden["merges"][i][0].get<std::string>()) << i;
    EXPECT_EQ(spec.vocab[static_cast<size_t>(spec.merges[i].right)].piece, golden["merges"][i][1].get<std::string>()) << i;
  }
}

// What was written and read again gives the ids of what was trained, and every text comes back.
void expect_round_trip(TokenizerSpec spec, std::string_view text) {
  const Tokenizer read = Tokenizer::from_json(to_tokenizer_json(spec));
  const Tokenizer trained(std::move(spec));
  EXPECT_EQ(read.encode_ids(text), trained.encode_ids(text));
  EXPECT_EQ(trained.decode(trained.encode_ids(text)), text);
}

TEST(TrainBpe, RoundTripsWhatItNeverSaw) {
  for (const BpeKind kind : {BpeKind::byte_level, BpeKind::sentencepiece}) {
    const TokenizerSpec spec = train_bpe(lines_of(kText), kind, {.size = 420});
    EXPECT_EQ(spec.vocab.size(), 420u);
    expect_round_trip(spec, "quick 😀 größte\tZażółć  日本");
  }
}

TEST(TrainUnigram, KeepsEveryCharacterAndTheSizeAsked) {
  const TokenizerSpec spec = train_unigram(lines_of(kText), {.vocab = {.size = 110, .special_tokens = {"<s>"}}});
  EXPECT_EQ(spec.vocab.size(), 110u);
  EXPECT_EQ(spec.vocab[0].piece, "<s>");
  EXPECT_EQ(spec.vocab[1].piece, "<unk>");
  expect_round_trip(spec, "The quick brown fox größer 日本語");
  const Tokenizer tokenizer(spec);
  EXPECT_LT(tokenizer.encode_ids("The quick brown foxes jump").size(), 12u);  // words were learned, not letters
}

TEST(TrainUnigram, ProbabilitiesSumToAtMostOne) {
  const TokenizerSpec spec = train_unigram(lines_of(kText), {.vocab = {.size = 110}});
  double sum = 0;
  for (size_t i = 1; i < spec.vocab.size(); ++i) sum += std::exp(spec.vocab[i].score);
  EXPECT_GT(sum, 0.8);
  EXPECT_LE(sum, 1.0 + 1e-9);
}

TEST(TrainVocab, RefusesSizesWithoutRoom) {
  EXPECT_THROW(train_bpe(lines_of(kText), BpeKind::byte_level, {.size = 100}), InputError);
  EXPECT_THROW(train_unigram(lines_of(kText), {.vocab = {.size = 20}}), InputError);
}

TEST(TrainVocab, IsDeterministicAndReportsProgress) {
  int64_t calls = 0;
  const auto train = [&] {
    return to_tokenizer_json(
        train_unigram(lines_of(kText), {.vocab = {.size = 110, .progress = [&](std::string_view, int64_t, int64_t) { ++calls; }}}));
  };
  EXPECT_EQ(train(), train());
  EXPECT_GT(calls, 0);
}

}  // namespace
}  // namespace tessera::text
