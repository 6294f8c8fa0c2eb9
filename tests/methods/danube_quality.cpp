// Text features, the n-gram model, boosted trees and the filter made of them.

#include "tessera/methods/danube/quality_filter.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/random.h"
#include "tests/scratch_folder.h"

namespace tessera::danube {

namespace {

float feature(std::string_view text, std::string_view name) {
  const auto at = std::find(kFeatureNames.begin(), kFeatureNames.end(), name) - kFeatureNames.begin();
  return text_features(text, nullptr).at(static_cast<size_t>(at));
}

// Sentences of a small grammar, and the same words in disorder with noise.
std::string sentences(RandomStream& random, bool good) {
  const std::vector<std::string> nouns{"sea", "ship", "captain", "harbour", "storm"}, verbs{"left", "saw", "feared", "reached"};
  std::string text;
  for (int i = 0; i < 12; ++i) {
    const auto &a = nouns[random.below(5)], &v = verbs[random.below(4)], &b = nouns[random.below(5)];
    text += good ? "The " + a + " " + v + " the " + b + " in the night.\n"
                 : b + " " + v + " " + a + "!! >> " + std::to_string(random.below(999)) + " |\n";
  }
  return text;
}

}  // namespace

TEST(TextFeatures, CountWhatTheirNamesSay) {
  EXPECT_FLOAT_EQ(feature("ab cd", "log_characters"), std::log1p(5.0F));
  EXPECT_FLOAT_EQ(feature("abc d", "word_length"), 2.0F);
  EXPECT_FLOAT_EQ(feature("ab 1 #", "letter_ratio"), 0.5F);
  EXPECT_FLOAT_EQ(feature("ab 1 #", "digit_ratio"), 0.25F);
  EXPECT_FLOAT_EQ(feature("ab 1 #", "symbol_ratio"), 0.25F);
  EXPECT_FLOAT_EQ(feature("ABcÉ", "upper_ratio"), 0.75F);
  EXPECT_FLOAT_EQ(feature("The ship of fools", "stop_word_ratio"), 0.5F);
  EXPECT_FLOAT_EQ(feature("a b A a", "unique_word_ratio"), 0.5F);
  EXPECT_FLOAT_EQ(feature("abc\n\n  é\n", "line_length"), 2.0F);
  EXPECT_FLOAT_EQ(feature("One.\ntwo\nThree!\n\"Four\"", "sentence_end_ratio"), 0.75F);
  EXPECT_FLOAT_EQ(feature("- a\n• b\nc\n-d", "bullet_ratio"), 0.5F);
  EXPECT_FLOAT_EQ(feature("x\ny\nx\nx", "repeated_line_ratio"), 0.5F);
  EXPECT_FLOAT_EQ(feature("a b a b a", "repeated_2gram_ratio"), 0.5F);
  EXPECT_FLOAT_EQ(feature("a b c d a b c d", "repeated_4gram_ratio"), 0.2F);
}

TEST(TextFeatures, AreFiniteForAnyBytes) {
  for (const std::string& text : {std::string(), std::string("\xff\xfe\x00\x80", 4), std::string(5000, ' '), std::string("\n\n\n")})
    for (const float value : text_features(text, nullptr)) EXPECT_TRUE(std::isfinite(value));
}

TEST(NgramModel, IsWittenBellByHand) {
  NgramModel model(2);
  model.read("abab");
  // a: 2, b: 2, two types: p(a) = (2 + 2/256) / 6. After a: b twice, one type: p(b|a) = (2 + p(b)) / 3.
  const double unigram = (2.0 + 2.0 / 256.0) / 6.0;
  EXPECT_NEAR(model.probability("", 'a'), unigram, 1e-12);
  EXPECT_NEAR(model.probability("a", 'b'), (2.0 + unigram) / 3.0, 1e-12);
  EXPECT_NEAR(model.probability("xya", 'b'), (2.0 + unigram) / 3.0, 1e-12) << "older history does not count";
  EXPECT_NEAR(model.probability("z", 'b'), unigram, 1e-12) << "an unknown history backs off";
  for (const std::string history : {"", "a", "b", "q"}) {
    double sum = 0.0;
    for (int next = 0; next < 256; ++next) sum += model.probability(history, static_cast<unsigned char>(next));
    EXPECT_NEAR(sum, 1.0, 1e-9) << history;
  }
  EXPECT_NEAR(NgramModel(3).nats_per_byte("whatever"), std::log(256.0), 1e-9);
  EXPECT_EQ(model.nats_per_byte(""), 0.0);
  EXPECT_THROW(NgramModel(8), InputError);
}

TEST(NgramModel, SavesAndRefusesOtherFiles) {
  const ScratchFolder folder;
  NgramModel model(5);
  model.read("the quick brown fox jumps over the lazy dog, the quick one");
  model.save(folder / "n.safetensors");
  const auto again = NgramModel::load(folder / "n.safetensors");
  EXPECT_EQ(again.size(), model.size());
  EXPECT_EQ(again.nats_per_byte("the lazy fox"), model.nats_per_byte("the lazy fox"));
  EXPECT_LT(model.nats_per_byte("the quick dog"), model.nats_per_byte("zzyx qqw"));
  write_file(folder / "broken.safetensors", "not at all");
  EXPECT_THROW(NgramModel::load(folder / "broken.safetensors"), InputError);
}

TEST(BoostedTrees, LearnWhatNoSingleThresholdTells) {
  RandomStream random(1, "rows");
  std::vector<float> rows;
  std::vector<uint8_t> labels;
  for (int i = 0; i < 2000; ++i) {
    const float a = static_cast<float>(random.uniform()), b = static_cast<float>(random.uniform()),
                c = static_cast<float>(random.uniform());
    rows.insert(rows.end(), {a, b, c});
    labels.push_back((a > 0.45F) != (b > 0.55F) ? 1 : 0);  // a soft exclusive or; c says nothing
  }
  const auto fitted = std::span(rows).first(1500 * 3);
  const auto trees = BoostedTrees::fit(fitted, std::span(labels).first(1500), 3, {.rounds = 60});
  int right = 0;
  for (size_t i = 1500; i < 2000; ++i) right += (trees.probability(std::span(rows).subspan(i * 3, 3)) > 0.5) == (labels[i] == 1) ? 1 : 0;
  EXPECT_GE(right, 480) << "of 500 held out";
  EXPECT_GT(trees.gains()[0], 20 * trees.gains()[2]);
  const auto again = BoostedTrees::from_json(nlohmann::ordered_json::parse(trees.to_json().dump()));
  EXPECT_EQ(again.logit(std::span(rows).first(3)), trees.logit(std::span(rows).first(3)));
}

TEST(BoostedTrees, OneSplitIsNewtonsStep) {
  const std::vector<float> rows{0, 0, 0, 1, 1, 1};
  const std::vector<uint8_t> labels{0, 0, 1, 1, 1, 1};
  const auto trees =
      BoostedTrees::fit(rows, labels, 1, {.rounds = 1, .depth = 1, .rate = 0.5, .lambda = 1.0, .least_hessian = 0.1, .bins = 4});
  // p = 2/3 everywhere: the left gradients sum to 1, the right ones to -1, and 3 p (1 - p) = 2/3.
  EXPECT_NEAR(trees.logit(std::vector<float>{0}), std::log(2.0) - 0.5 * 1.0 / (2.0 / 3.0 + 1.0), 1e-9);
  EXPECT_NEAR(trees.logit(std::vector<float>{1}), std::log(2.0) + 0.5 * 1.0 / (2.0 / 3.0 + 1.0), 1e-9);
}

TEST(BoostedTrees, RefuseWhatTheyCannotLearnOrRead) {
  EXPECT_THROW(BoostedTrees::fit(std::vector<float>{1, 2}, std::vector<uint8_t>{1, 1}, 1), InputError);
  EXPECT_THROW(BoostedTrees::fit(std::vector<float>{1, NAN}, std::vector<uint8_t>{0, 1}, 1), InputError);
  EXPECT_THROW(BoostedTrees::fit(std::vector<float>{1, 2, 3}, std::vector<uint8_t>{0, 1}, 1), InputError);
  const auto bad = [](const char* nodes) {
    return nlohmann::ordered_json::parse(R"({"version":1,"start":0,"gains":[1.0],"trees":[)" + std::string(nodes) + "]}");
  };
  EXPECT_THROW(BoostedTrees::from_json(bad("[[0,0.5,0,0,0.0]]")), InputError) << "a circle";
  EXPECT_THROW(BoostedTrees::from_json(bad("[[7,0.5,1,2,0],[-1,0,0,0,1],[-1,0,0,0,1]]")), InputError) << "no such feature";
  EXPECT_THROW(BoostedTrees::from_json(bad("[]")), InputError);
  EXPECT_THROW(BoostedTrees::from_json("text"), InputError);
}

TEST(QualityFilter, TellsSentencesFromNoiseAndSaves) {
  RandomStream random(4, "texts");
  std::vector<LabelledText> texts;
  for (int i = 0; i < 120; ++i) texts.push_back({sentences(random, i % 2 == 0), i % 2 == 0});
  const auto filter = QualityFilter::train(texts, {.trees = {.rounds = 30}});
  for (int i = 0; i < 20; ++i) {
    EXPECT_GT(filter.score(sentences(random, true)), 0.8);
    EXPECT_LT(filter.score(sentences(random, false)), 0.2);
  }
  EXPECT_GT(filter.importance().front().second, 0.0);
  const ScratchFolder folder;
  filter.save(folder.path());
  EXPECT_EQ(QualityFilter::load(folder.path()).score(texts[0].text), filter.score(texts[0].text));
  EXPECT_THROW(QualityFilter::train({texts[0], texts[1]}), InputError);
  write_file(folder / "quality.json", "{}");
  EXPECT_THROW(QualityFilter::load(folder.path()), InputError);
}

}  // namespace tessera::danube
