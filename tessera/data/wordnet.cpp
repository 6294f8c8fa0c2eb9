#include "tessera/data/wordnet.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/data/input.h"
#include "tessera/data/prose.h"

namespace tessera::data {
namespace {

constexpr std::array<std::string_view, 4> part_names = {"noun", "verb", "adjective", "adverb"};
constexpr std::array<std::string_view, 4> file_endings = {"noun", "verb", "adj", "adv"};
constexpr std::string_view part_letters = "nvar";

// The lexicographer files, lexnames(5WN).
constexpr std::array<std::string_view, 45> topics = {"adj.all",          "adj.pert",           "adv.all",
                                                     "noun.Tops",        "noun.act",           "noun.animal",
                                                     "noun.artifact",    "noun.attribute",     "noun.body",
                                                     "noun.cognition",   "noun.communication", "noun.event",
                                                     "noun.feeling",     "noun.food",          "noun.group",
                                                     "noun.location",    "noun.motive",        "noun.object",
                                                     "noun.person",      "noun.phenomenon",    "noun.plant",
                                                     "noun.possession",  "noun.process",       "noun.quantity",
                                                     "noun.relation",    "noun.shape",         "noun.state",
                                                     "noun.substance",   "noun.time",          "verb.body",
                                                     "verb.change",      "verb.cognition",     "verb.communication",
                                                     "verb.competition", "verb.consumption",   "verb.contact",
                                                     "verb.creation",    "verb.emotion",       "verb.motion",
                                                     "verb.perception",  "verb.possession",    "verb.social",
                                                     "verb.stative",     "verb.weather",       "adj.ppl"};

// The space-separated words of one line, read in order; knows where it is for messages.
class Fields {
 public:
  Fields(std::string_view line, const std::filesystem::path& path, uint64_t number) : rest_(line), path_(path), number_(number) {}

  std::string_view word() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
    const size_t end = std::min(rest_.find(' '), rest_.size());
    if (end == 0) malformed("it ends early");
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }
  uint32_t number(int base = 10) {
    const std::string_view text = word();
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) malformed(tessera::quoted(text) + " is no number");
    return value;
  }
  [[noreturn]] void malformed(const std::string& why) const {
    throw InputError("{}:{}: not a line of a WordNet 3 database, {}; install the package again: apt-get install --reinstall wordnet-base",
                     path_.string(), number_, why);
  }

 private:
  std::string_view rest_;
  const std::filesystem::path& path_;
  uint64_t number_;
};

std::string lemma_text(std::string_view word) {
  if (word.ends_with(')')) word = word.substr(0, word.rfind('('));  // "outer(a)": the place an adjective may stand in
  std::string text(word);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string key_of(std::string_view lemma, PartOfSpeech part) {
  std::string key(lemma);
  for (char& c : key) c = c == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  key += '\t';
  key += part_letters[static_cast<size_t>(part)];
  return key;
}

// A gloss is `definition; "example"; "example"`.
void read_gloss(std::string_view gloss, Synset& synset) {
  while (gloss.ends_with(' ')) gloss.remove_suffix(1);
  while (gloss.starts_with(' ')) gloss.remove_prefix(1);
  size_t at = gloss.find("; \"");
  synset.gloss = std::string(gloss.substr(0, at));
  while (synset.gloss.ends_with(' ') || synset.gloss.ends_with(';')) synset.gloss.pop_back();
  while (at < gloss.size()) {
    const size_t open = gloss.find('"', at);
    if (open == std::string_view::npos) break;
    const size_t close = std::min(gloss.find('"', open + 1), gloss.size());
    if (close > open + 1) synset.examples.emplace_back(gloss.substr(open + 1, close - open - 1));
    at = close + 1;
  }
}

using Offsets = std::unordered_map<uint32_t, uint32_t>;  // file offset -> place in WordNet::synsets

Offsets read_data(const std::filesystem::path& path, PartOfSpeech part, WordNet& wordnet) {
  Offsets places;
  LineReader lines(path, size_t{1} << 20);
  for (std::string line; lines.next(line);) {
    if (line.starts_with(' ') || line.empty()) continue;  // the licence
    const size_t bar = line.find(" | ");
    Fields fields(std::string_view(line).substr(0, bar), path, lines.number());
    if (bar == std::string::npos) fields.malformed("it has no gloss");
    Synset synset;
    synset.part = part;
    synset.offset = fields.number();
    synset.file = static_cast<uint8_t>(std::min<uint32_t>(fields.number(), 255));
    fields.word();  // n, v, a, s or r: the file says as much
    const uint32_t words = fields.number(16);
    for (uint32_t i = 0; i < words; ++i) {
      synset.lemmas.push_back(lemma_text(fields.word()));
      fields.word();  // lex_id
    }
    if (synset.lemmas.empty()) fields.malformed("it has no word");
    read_gloss(std::string_view(line).substr(bar + 3), synset);
    places.emplace(synset.offset, static_cast<uint32_t>(wordnet.synsets.size()));
    wordnet.synsets.push_back(std::move(synset));
  }
  return places;
}

void read_index(const std::filesystem::path& path, PartOfSpeech part, const Offsets& places, WordNet& wordnet) {
  LineReader lines(path, size_t{1} << 20);
  for (std::string line; lines.next(line);) {
    if (line.starts_with(' ') || line.empty()) continue;
    Fields fields(line, path, lines.number());
    std::vector<uint32_t>& senses = wordnet.index[key_of(fields.word(), part)];
    fields.word();  // part of speech
    const uint32_t synsets = fields.number();
    const uint32_t pointers = fields.number();
    for (uint32_t i = 0; i < pointers; ++i) fields.word();
    fields.number();  // senses, and how many of them are tagged in texts
    fields.number();
    for (uint32_t i = 0; i < synsets; ++i) {
      const uint32_t offset = fields.number();
      const auto place = places.find(offset);
      if (place == places.end()) fields.malformed(fmt::format("synset {:08} is not in its data file", offset));
      senses.push_back(place->second);
    }
  }
}

}  // namespace

std::string_view name(PartOfSpeech part) { return part_names[static_cast<size_t>(part)]; }

std::string_view topic(uint8_t file) { return file < topics.size() ? topics[file] : std::string_view(); }

const std::vector<uint32_t>& WordNet::senses(std::string_view lemma, PartOfSpeech part) const {
  static const std::vector<uint32_t> none;
  const auto found = index.find(key_of(lemma, part));
  return found == index.end() ? none : found->second;
}

WordNet read_wordnet(const std::filesystem::path& folder) {
  WordNet wordnet;
  for (const PartOfSpeech part : parts_of_speech) {
    const std::string ending(file_endings[static_cast<size_t>(part)]);
    const auto data = folder / ("data." + ending), index = folder / ("index." + ending);
    for (const auto& path : {data, index})
      if (!std::filesystem::exists(path))
        throw InputError("{} is missing: the WordNet database is in the Debian package wordnet-base; apt-get install wordnet-base",
                         path.string());
    const Offsets places = read_data(data, part, wordnet);
    read_index(index, part, places, wordnet);
  }
  return wordnet;
}

}  // namespace tessera::data
