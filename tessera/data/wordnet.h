#pragma once
// WordNet's database files (data.noun, index.verb ...: package wordnet-base), as wndb(5WN) describes them.

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tessera::data {

enum class PartOfSpeech { noun, verb, adjective, adverb };
inline constexpr std::array parts_of_speech = {PartOfSpeech::noun, PartOfSpeech::verb, PartOfSpeech::adjective, PartOfSpeech::adverb};
std::string_view name(PartOfSpeech part);  // "noun", "verb", "adjective", "adverb"

struct Synset {
  uint32_t offset = 0;  // its address: with the part of speech, its name
  PartOfSpeech part = PartOfSpeech::noun;
  uint8_t file = 0;                   // lexicographer file: 0-44, its topic (5 is noun.animal); see topic()
  std::vector<std::string> lemmas;    // with spaces, in the file's case; adjective markers such as "(a)" are gone
  std::string gloss;                  // the definition alone
  std::vector<std::string> examples;  // sentences that the gloss quotes, without their quotation marks
};

// "noun.animal" of lexicographer file 5; "" above 44.
std::string_view topic(uint8_t file);

struct WordNet {
  std::vector<Synset> synsets;  // nouns, verbs, adjectives, adverbs; each in the order of its file

  // The senses of a word (any case, spaces or underscores), most frequent first, as indices into `synsets`; empty when unknown.
  const std::vector<uint32_t>& senses(std::string_view lemma, PartOfSpeech part) const;

  // Keyed by senses' lower-case lemma, then the part's letter: "dog\tn".
  std::unordered_map<std::string, std::vector<uint32_t>> index;
};

// Reads data.* and index.* below `folder`. InputError names the package when the folder has none, and file and line when a line is
// malformed or an index points at no synset.
WordNet read_wordnet(const std::filesystem::path& folder = "/usr/share/wordnet");

}  // namespace tessera::data
