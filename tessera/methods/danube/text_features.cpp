#include "tessera/methods/danube/text_features.h"

#include <cmath>
#include <unordered_set>

#include "tessera/text/unicode.h"

namespace tessera::danube {

namespace {

const std::unordered_set<std::string_view>& stop_words() {
  static const std::unordered_set<std::string_view> words{
      "the",  "of",    "and",  "to",    "in",   "a",   "is",    "that", "for",  "it",    "as",    "was",  "with", "be",   "by",
      "on",   "not",   "he",   "i",     "this", "are", "or",    "his",  "from", "at",    "which", "but",  "have", "an",   "had",
      "they", "you",   "were", "their", "one",  "all", "we",    "can",  "her",  "has",   "there", "been", "if",   "more", "when",
      "will", "would", "who",  "so",    "no",   "she", "other", "its",  "may",  "these", "what",  "them", "than", "some", "him"};
  return words;
}

struct Counts {
  int64_t characters = 0, letters = 0, digits = 0, symbols = 0, upper = 0;
  std::vector<std::string> words;  // in lower case
};

Counts count_characters(std::string_view text) {
  Counts counts;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) counts.words.push_back(std::exchange(word, {}));
  };
  for (size_t at = 0; at < text.size();) {
    const char32_t c = text::next_char(text, at);
    const uint32_t kind = text::unicode_word(c);
    ++counts.characters;
    if (text::is_letter(kind) || text::is_number(kind)) {
      ++(text::is_letter(kind) ? counts.letters : counts.digits);
      if (text::category_of(kind) == text::Category::Lu) ++counts.upper;
      const auto lower = text::lower_case(c);
      text::append_utf8(word, lower.first);
      if (lower.second != 0) text::append_utf8(word, lower.second);
      continue;
    }
    if (c != U'\'' && c != U'’') end_word();
    if (!text::has(kind, text::Trait::white_space)) ++counts.symbols;
  }
  end_word();
  return counts;
}

double ratio(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

// n-grams of words that occurred before, of all n-grams.
double repeated(const std::vector<std::string>& words, size_t n) {
  if (words.size() < n) return 0.0;
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i + n <= words.size(); ++i) {
    std::string gram;
    for (size_t k = i; k < i + n; ++k) gram.append(words[k]).push_back(' ');
    seen.insert(std::move(gram));
  }
  const auto all = static_cast<double>(words.size() - n + 1);
  return (all - static_cast<double>(seen.size())) / all;
}

struct Lines {
  int64_t lines = 0, characters = 0, ended = 0, bullets = 0, repeated = 0;
};

Lines count_lines(std::string_view text) {
  Lines counts;
  std::unordered_set<std::string_view> seen;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    auto line = text.substr(begin, end - begin);
    begin = end + 1;
    while (!line.empty() && static_cast<unsigned char>(line.front()) <= ' ') line.remove_prefix(1);
    while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.remove_suffix(1);
    if (line.empty()) continue;
    ++counts.lines;
    counts.characters += static_cast<int64_t>(text::count_chars(line));
    for (const std::string_view mark : {".", "!", "?", "\"", "”", "’"})
      if (line.ends_with(mark)) {
        ++counts.ended;
        break;
      }
    for (const std::string_view mark : {"- ", "* ", "•", "‣", "·"})
      if (line.starts_with(mark)) {
        ++counts.bullets;
        break;
      }
    if (!seen.insert(line).second) ++counts.repeated;
  }
  return counts;
}

}  // namespace

std::vector<float> text_features(std::string_view given, const NgramModel* model) {
  const std::string text = text::with_replacements(given);
  const Counts counts = count_characters(text);
  const Lines lines = count_lines(text);
  const auto words = static_cast<double>(counts.words.size());
  const auto printed = static_cast<double>(counts.letters + counts.digits + counts.symbols);
  const auto all_lines = static_cast<double>(lines.lines);
  double stops = 0.0;
  std::unordered_set<std::string_view> distinct;
  for (const auto& word : counts.words) {
    stops += stop_words().contains(word) ? 1.0 : 0.0;
    distinct.insert(word);
  }
  const std::array<double, kFeatureNames.size()> values{
      std::log1p(static_cast<double>(counts.characters)),
      ratio(static_cast<double>(counts.letters + counts.digits), words),
      ratio(static_cast<double>(counts.letters), printed),
      ratio(static_cast<double>(counts.digits), printed),
      ratio(static_cast<double>(counts.symbols), printed),
      ratio(static_cast<double>(counts.upper), static_cast<double>(counts.letters)),
      ratio(stops, words),
      ratio(static_cast<double>(distinct.size()), words),
      ratio(static_cast<double>(lines.characters), all_lines),
      ratio(static_cast<double>(lines.ended), all_lines),
      ratio(static_cast<double>(lines.bullets), all_lines),
      ratio(static_cast<double>(lines.repeated), all_lines),
      repeated(counts.words, 2),
      repeated(counts.words, 4),
      model != nullptr ? model->nats_per_byte(text) : 0.0,
  };
  return {values.begin(), values.end()};
}

}  // namespace tessera::danube
