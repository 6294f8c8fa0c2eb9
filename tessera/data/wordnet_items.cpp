#include "tessera/data/wordnet_items.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <span>
#include <unordered_set>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/base/random.h"

namespace tessera::data {
namespace {

// One lower-case word of at least three letters: proper names and phrases would give themselves away.
bool is_plain_word(std::string_view lemma) {
  return lemma.size() >= 3 && std::all_of(lemma.begin(), lemma.end(), [](unsigned char c) { return c >= 'a' && c <= 'z'; });
}

// True when the gloss holds the word ("base" in "debased") or a word that begins with its stem, all but its last letter, three at least.
bool gives_away(std::string_view gloss, std::string_view word) {
  if (gloss.find(word) != std::string_view::npos) return true;
  const std::string_view stem = word.substr(0, std::max<size_t>(3, word.size() - 1));
  for (size_t at = gloss.find(stem); at != std::string_view::npos; at = gloss.find(stem, at + 1))
    if (at == 0 || !std::isalpha(static_cast<unsigned char>(gloss[at - 1]))) return true;
  return false;
}

// The words that may be choices of one part of speech, by their number of tokens.
struct Pool {
  std::vector<std::string> words;                 // distinct, in WordNet's order
  std::map<size_t, std::vector<size_t>> by_size;  // tokens -> places in `words`
};

class ItemMaker {
 public:
  ItemMaker(const WordNet& wordnet, const WordNetItemOptions& options) : wordnet_(wordnet), options_(options) {
    if (options.choices < 2) throw InputError("a question needs at least 2 choices, not {}; give 2 or more", options.choices);
    if (options.parts.empty()) throw InputError("no part of speech was given for the questions; give at least one");
    std::unordered_set<std::string> seen;
    for (size_t i = 0; i < wordnet.synsets.size(); ++i) {
      const Synset& synset = wordnet.synsets[i];
      if (std::find(options.parts.begin(), options.parts.end(), synset.part) == options.parts.end()) continue;
      const std::string& word = synset.lemmas.front();
      if (!is_plain_word(word)) continue;
      if (synset.gloss.size() >= 12 && !gives_away(synset.gloss, word)) candidates_.push_back(i);
      if (seen.insert(std::string(name(synset.part)) + word).second) add_word(pools_[static_cast<size_t>(synset.part)], word);
    }
  }

  std::vector<ChoiceItem> make() {
    RandomStream order(options_.seed, "wordnet items: synsets");
    order.shuffle(std::span(candidates_));
    const RandomStream draws(options_.seed, "wordnet items: choices");
    std::vector<ChoiceItem> items;
    for (size_t i = 0; i < candidates_.size() && items.size() < options_.items; ++i) {
      RandomStream draw = draws.at(i);
      if (auto item = make_item(wordnet_.synsets[candidates_[i]], draw); !item.choices.empty()) items.push_back(std::move(item));
    }
    if (items.size() < options_.items)
      throw InputError("WordNet gives {} questions with {} choices for these parts of speech, {} were asked for; ask for fewer",
                       items.size(), options_.choices, options_.items);
    return items;
  }

 private:
  size_t tokens(std::string_view word) const { return options_.token_count ? options_.token_count(" " + std::string(word)) : 0; }

  void add_word(Pool& pool, const std::string& word) {
    pool.by_size[tokens(word)].push_back(pool.words.size());
    pool.words.push_back(word);
  }

  // An item without choices when the part of speech has too few words.
  ChoiceItem make_item(const Synset& synset, RandomStream& draw) const {
    const Pool& pool = pools_[static_cast<size_t>(synset.part)];
    const std::string& word = synset.lemmas.front();
    const auto same_size = pool.by_size.find(tokens(word));
    std::vector<std::string> choices = {word};
    // Words of the answer's length first; where they run out, any.
    if (same_size != pool.by_size.end())
      for (int tries = 0; tries < 50 && choices.size() < options_.choices; ++tries)
        consider(pool.words[same_size->second[draw.below(same_size->second.size())]], synset, choices);
    for (int tries = 0; tries < 200 && choices.size() < options_.choices; ++tries)
      consider(pool.words[draw.below(pool.words.size())], synset, choices);
    if (choices.size() < options_.choices) return {};

    ChoiceItem item{.question = "Definition: " + synset.gloss + ". Word:", .choices = {}, .answer = draw.below(options_.choices)};
    std::swap(choices[0], choices[item.answer]);
    for (const std::string& choice : choices) item.choices.push_back(" " + choice);
    return item;
  }

  void consider(const std::string& word, const Synset& synset, std::vector<std::string>& choices) const {
    if (std::find(choices.begin(), choices.end(), word) == choices.end() && !is_related(word, synset)) choices.push_back(word);
  }

  // True when `word` is a lemma of the synset, or of any synset of the answer's: it may be right too.
  bool is_related(const std::string& word, const Synset& synset) const {
    const auto has = [&](const Synset& other) { return std::find(other.lemmas.begin(), other.lemmas.end(), word) != other.lemmas.end(); };
    if (has(synset) || gives_away(synset.gloss, word)) return true;
    for (const uint32_t place : wordnet_.senses(synset.lemmas.front(), synset.part))
      if (has(wordnet_.synsets[place])) return true;
    return false;
  }

  const WordNet& wordnet_;
  const WordNetItemOptions& options_;
  std::vector<size_t> candidates_;
  std::array<Pool, parts_of_speech.size()> pools_;
};

}  // namespace

std::vector<ChoiceItem> wordnet_items(const WordNet& wordnet, const WordNetItemOptions& options) {
  return ItemMaker(wordnet, options).make();
}

}  // namespace tessera::data
