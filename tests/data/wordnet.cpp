#include "tessera/data/wordnet.h"

#include <gtest/gtest.h>

#include <set>

#include "tessera/data/sources.h"
#include "tessera/data/wordnet_items.h"
#include "tests/data/packed_files.h"

namespace tessera::data {
namespace {

// A database of a few synsets with the offsets and pointers of the real format.
void write_database(const ScratchFolder& root) {
  const std::string folder = "usr/share/wordnet/", licence = "  1 This software and database ...  \n";
  root.write(folder + "data.noun",
             licence +
                 "00000100 05 n 02 dog 0 domestic_dog 0 001 @ 00000200 n 0000 | a member of the genus Canis; occurs in many "
                 "breeds; \"the dog barked all night\"; \"he likes it\"- Anon  \n"
                 "00000200 05 n 01 Canidae 0 000 | a family of \"dogs\" and others  \n");
  root.write(folder + "index.noun",
             licence + "canidae n 1 0 1 0 00000200  \ndog n 2 2 @ ~ 2 1 00000200 00000100  \ndomestic_dog n 1 1 @ 1 0 00000100  \n");
  root.write(folder + "data.verb", "00000300 38 v 01 chase 0 001 @ 00000300 v 0000 01 + 08 00 | go after with the intent to catch  \n");
  root.write(folder + "index.verb", "chase v 1 1 @ 1 0 00000300  \n");
  root.write(folder + "data.adj", "00000400 00 s 02 outer(a) 0 outmost 0 000 | being on the outside  \n");
  root.write(folder + "index.adj", "outer a 1 0 1 0 00000400  \n");
  root.write(folder + "data.adv", "00000500 02 r 01 a_lot 0 000 | to a very great degree  \n");
  root.write(folder + "index.adv", "a_lot r 1 0 1 0 00000500  \n");
}

TEST(WordNet, ReadsLemmasGlossesExamplesAndTopics) {
  const ScratchFolder root;
  write_database(root);
  const WordNet wordnet = read_wordnet(root.path() / "usr/share/wordnet");
  ASSERT_EQ(wordnet.synsets.size(), 5U);
  const Synset& dog = wordnet.synsets[0];
  EXPECT_EQ(dog.lemmas, (std::vector<std::string>{"dog", "domestic dog"}));
  EXPECT_EQ(dog.gloss, "a member of the genus Canis; occurs in many breeds");
  EXPECT_EQ(dog.examples, (std::vector<std::string>{"the dog barked all night", "he likes it"}));
  EXPECT_EQ(wordnet.synsets[1].gloss, "a family of \"dogs\" and others") << "a quoted word is no example";
  EXPECT_TRUE(wordnet.synsets[1].examples.empty());
  EXPECT_EQ(dog.offset, 100U);
  EXPECT_EQ(topic(dog.file), "noun.animal");
  EXPECT_EQ(topic(44), "adj.ppl");
  EXPECT_EQ(topic(45), "");
  EXPECT_EQ(wordnet.synsets[3].lemmas[0], "outer") << "without its marker";
  EXPECT_EQ(wordnet.synsets[3].part, PartOfSpeech::adjective);
}

TEST(WordNet, FindsSensesMostFrequentFirst) {
  const ScratchFolder root;
  write_database(root);
  const WordNet wordnet = read_wordnet(root.path() / "usr/share/wordnet");
  EXPECT_EQ(wordnet.senses("Dog", PartOfSpeech::noun), (std::vector<uint32_t>{1, 0}));
  EXPECT_EQ(wordnet.senses("domestic_dog", PartOfSpeech::noun), wordnet.senses("domestic dog", PartOfSpeech::noun));
  EXPECT_TRUE(wordnet.senses("dog", PartOfSpeech::verb).empty());
}

TEST(WordNet, IsATextSource) {
  const ScratchFolder root;
  write_database(root);
  const auto documents = read_documents("wordnet", {.root = root.path(), .language = {}, .prose = {}});
  ASSERT_EQ(documents.size(), 5U);
  EXPECT_EQ(documents[0].text,
            "dog, domestic dog: a member of the genus Canis; occurs in many breeds. \"the dog barked all night\" \"he likes it\"\n");
  EXPECT_EQ(documents[0].name, "noun#00000100");
}

TEST(WordNet, NamesFileAndLineOfMalformedOnes) {
  const ScratchFolder root;
  const auto folder = root.path() / "usr/share/wordnet";
  EXPECT_NE(
      input_error([&] { read_wordnet(folder); }).find("data.noun is missing: the WordNet database is in the Debian package wordnet-base; "),
      std::string::npos);
  for (const char* line :
       {"00000100 05 n 02 dog 0 | cut", "junk", "00000100 05 n 00 000 | no word", "x1 05 n 01 dog 0 000 | gloss", "\xff\xff | "}) {
    write_database(root);
    root.write("usr/share/wordnet/data.noun", std::string("  licence\n") + line + "\n");
    EXPECT_NE(input_error([&] { read_wordnet(folder); }).find("data.noun:2: not a line of a WordNet 3 database"), std::string::npos)
        << line;
  }
  write_database(root);
  root.write("usr/share/wordnet/index.verb", "chase v 1 1 @ 1 0 00000999  \n");
  EXPECT_NE(input_error([&] { read_wordnet(folder); }).find("index.verb:1: not a line of a WordNet 3 database, synset 00000999 is not"),
            std::string::npos);
}

// A made-up dictionary of n nouns with neutral glosses; words of even numbers are longer.
WordNet made_up(size_t n) {
  WordNet wordnet;
  for (size_t i = 0; i < n; ++i) {
    std::string word = "w";
    for (size_t k = i; word.size() < 4; k /= 26) word += static_cast<char>('a' + k % 26);
    if (i % 2 == 0) word += "longer";
    Synset synset;
    synset.offset = static_cast<uint32_t>(i);
    synset.lemmas = {word, "two words"};
    synset.gloss = "definition number " + std::to_string(i) + " of something";
    wordnet.index[word + "\tn"].push_back(static_cast<uint32_t>(i));
    wordnet.synsets.push_back(std::move(synset));
  }
  return wordnet;
}

TEST(WordNetItems, AreSeededUniformInPlaceAndHaveDistractorsOfTheSameLength) {
  const WordNet wordnet = made_up(500);
  WordNetItemOptions options{
      .items = 200, .choices = 4, .seed = 5, .parts = {PartOfSpeech::noun}, .token_count = [](std::string_view t) { return t.size(); }};
  const auto items = wordnet_items(wordnet, options), again = wordnet_items(wordnet, options);
  options.seed = 6;
  const auto other = wordnet_items(wordnet, options);
  ASSERT_EQ(items.size(), 200U);
  std::set<std::string> questions;
  std::array<int, 4> places{};
  size_t differ = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(items[i].question, again[i].question);
    EXPECT_EQ(items[i].choices, again[i].choices);
    differ += items[i].question != other[i].question;
    EXPECT_TRUE(items[i].question.starts_with("Definition: definition number ") && items[i].question.ends_with(". Word:"));
    EXPECT_TRUE(questions.insert(items[i].question).second);
    ASSERT_EQ(std::set(items[i].choices.begin(), items[i].choices.end()).size(), 4U);
    for (const std::string& choice : items[i].choices) EXPECT_EQ(choice.size(), items[i].choices[items[i].answer].size());
    ++places[items[i].answer];
    const size_t number = std::stoul(items[i].question.substr(30));
    EXPECT_EQ(items[i].choices[items[i].answer], " " + wordnet.synsets[number].lemmas[0]);
  }
  EXPECT_GT(differ, 150U);
  for (const int count : places) EXPECT_GT(count, 30);
}

TEST(WordNetItems, NeverOfferAWordThatIsRightToo) {
  WordNet wordnet = made_up(5);
  for (Synset& synset : wordnet.synsets) synset.lemmas[1] = wordnet.synsets[1].lemmas[0];  // all synsets hold word 1
  const auto items = wordnet_items(wordnet, {.items = 4, .choices = 4, .seed = 1, .parts = {PartOfSpeech::noun}, .token_count = {}});
  for (const auto& item : items)
    for (size_t i = 0; i < 4; ++i)
      if (i != item.answer) {
        EXPECT_NE(item.choices[i], " " + wordnet.synsets[1].lemmas[0]);
      }
}

TEST(WordNetItems, NeverOfferAWordThatTheGlossHolds) {
  WordNet wordnet = made_up(6);
  for (size_t i = 0; i < 5; ++i) wordnet.synsets[i].gloss += " such as a " + wordnet.synsets[5].lemmas[0];
  for (const auto& item : wordnet_items(wordnet, {.items = 5, .choices = 4, .seed = 1, .parts = {PartOfSpeech::noun}, .token_count = {}}))
    for (const std::string& choice : item.choices)
      if (item.question.find("such as") != std::string::npos) {
        EXPECT_NE(choice, " " + wordnet.synsets[5].lemmas[0]);
      }
}

TEST(WordNetItems, SayWhenThereAreTooFew) {
  EXPECT_EQ(input_error(
                [] { wordnet_items(made_up(3), {.items = 2, .choices = 4, .seed = 1, .parts = {PartOfSpeech::noun}, .token_count = {}}); }),
            "WordNet gives 0 questions with 4 choices for these parts of speech, 2 were asked for; ask for fewer");
  EXPECT_EQ(input_error(
                [] { wordnet_items(made_up(9), {.items = 2, .choices = 1, .seed = 1, .parts = {PartOfSpeech::noun}, .token_count = {}}); }),
            "a question needs at least 2 choices, not 1; give 2 or more");
}

TEST(WordNetItems, OfTheInstalledDatabaseAreSound) {
  if (!std::filesystem::exists("/usr/share/wordnet/data.noun")) GTEST_SKIP() << "the Debian package wordnet-base is not installed";
  const WordNet wordnet = read_wordnet();
  EXPECT_EQ(wordnet.synsets.size(), 117'659U);
  const auto& puppy = wordnet.senses("puppy", PartOfSpeech::noun);
  ASSERT_FALSE(puppy.empty());
  EXPECT_EQ(wordnet.synsets[puppy[0]].gloss, "a young dog");
  const auto items = wordnet_items(wordnet, {});
  ASSERT_EQ(items.size(), 300U);
  for (const auto& item : items) EXPECT_EQ(item.question.find(item.choices[item.answer].substr(1)), std::string::npos) << item.question;
}

}  // namespace
}  // namespace tessera::data
