#include "tessera/text/train_vocab.h"

#include <algorithm>
#include <memory>

#include "tessera/text/pre_tokenize.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

using Counter = std::unordered_map<std::string, int64_t>;

constexpr std::string_view kBlankMark = "\u2581";

WordCounts sorted_counts(Counter counter) {
  WordCounts words(std::make_move_iterator(counter.begin()), std::make_move_iterator(counter.end()));
  std::sort(words.begin(), words.end());
  return words;
}

// Calls count(text, counter) for every text and reports every 1000th.
template <class Count>
WordCounts count_texts(const TextSource& next, const TrainProgress& progress, Count count) {
  Counter counter;
  int64_t done = 0;
  while (const auto text = next()) {
    count(valid_utf8(*text) ? *text : with_replacements(*text), counter);
    if (progress && ++done % 1000 == 0) progress("count", done, 0);
  }
  return sorted_counts(std::move(counter));
}

}  // namespace

TextSource texts_of(std::vector<std::string> texts) {
  const auto held = std::make_shared<std::pair<std::vector<std::string>, size_t>>(std::move(texts), 0);
  return [held]() -> std::optional<std::string> {
    return held->second < held->first.size() ? std::optional(held->first[held->second++]) : std::nullopt;
  };
}

TextSource lines_of(std::string text) {
  const auto held = std::make_shared<std::pair<std::string, size_t>>(std::move(text), 0);
  return [held]() -> std::optional<std::string> {
    auto& [all, at] = *held;
    if (at >= all.size()) return std::nullopt;
    const size_t end = std::min(all.find('\n', at), all.size());
    std::string line = all.substr(at, end - at);
    at = end + 1;
    return line;
  };
}

WordCounts count_marked_words(const TextSource& next, const TrainProgress& progress) {
  return count_texts(next, progress, [](const std::string& text, Counter& counter) {
    constexpr std::string_view blanks = " \t\n\v\f\r";
    for (size_t begin = text.find_first_not_of(blanks); begin != std::string::npos;) {
      const size_t end = std::min(text.find_first_of(blanks, begin), text.size());
      ++counter[std::string(kBlankMark) + text.substr(begin, end - begin)];
      begin = text.find_first_not_of(blanks, end);
    }
  });
}

WordCounts count_byte_words(const TextSource& next, const TrainProgress& progress) {
  PreTokenizerStep step;
  step.add_prefix_space = false;
  PreTokenizerChain chain({step}, "trained vocabulary");
  chain.keep_bytes();
  std::vector<ByteRange> words;
  return count_texts(next, progress, [&](const std::string& text, Counter& counter) {
    if (text.empty()) return;
    AlignedText aligned(text, 0, Tracking::off);
    words.clear();
    chain.apply(aligned, words);
    for (const ByteRange& word : words) ++counter[std::string(aligned.text().substr(word.begin, word.end - word.begin))];
  });
}

}  // namespace tessera::text
