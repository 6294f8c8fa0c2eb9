#pragma once
// Multiple-choice questions made from WordNet's glosses.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/data/wordnet.h"

namespace tessera::data {

struct ChoiceItem {
  std::string question;              // "Definition: a young dog. Word:"
  std::vector<std::string> choices;  // " puppy", ...: with the leading space that joins them to the question
  size_t answer = 0;                 // index into choices
};

struct WordNetItemOptions {
  size_t items = 300;
  size_t choices = 4;  // 2 and up
  uint64_t seed = 1;
  std::vector<PartOfSpeech> parts = {PartOfSpeech::noun, PartOfSpeech::verb, PartOfSpeech::adjective, PartOfSpeech::adverb};
  // Tokens of a choice's text under the model at hand; distractors are drawn with the answer's count where enough words have it. Empty:
  // ignore.
  std::function<size_t(std::string_view)> token_count;
};

// `items` questions on distinct synsets, by seed alone. The answer is the synset's first lemma, one lower-case word of letters that the
// gloss does not contain; distractors are such lemmas of the same part of speech that are neither lemmas of the synset nor of any synset
// that the answer belongs to. The answer's place is uniform. InputError when WordNet has too few such synsets.
std::vector<ChoiceItem> wordnet_items(const WordNet& wordnet, const WordNetItemOptions& options);

}  // namespace tessera::data
