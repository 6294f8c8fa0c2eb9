#include "tessera/text/pre_tokenize.h"

#include <algorithm>

#include "tessera/text/byte_level.h"
#include "tessera/text/split.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

constexpr std::string_view byte_level_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

bool punctuation(char32_t c) { return is(c, Trait::punctuation); }

// Cuts every word by cut(word, cut words).
template <class Cut>
void cut_each(std::vector<ByteRange>& words, Cut cut) {
  std::vector<ByteRange> now;
  now.reserve(words.size() + 16);
  for (const ByteRange& word : words) cut(word, now);
  words = std::move(now);
}

template <class Match>
void split_chars(std::string_view text, std::vector<ByteRange>& words, SplitBehavior behavior, Match match) {
  std::vector<Part> parts;
  cut_each(words, [&](ByteRange word, std::vector<ByteRange>& now) {
    parts.clear();
    parts_of(text, word, match, parts);
    join_parts(parts, behavior, now);
  });
}

void split_pattern(std::string_view text, std::vector<ByteRange>& words, const Matcher& matcher, SplitBehavior behavior, bool invert) {
  if (matcher.gapless() && behavior == SplitBehavior::isolated) {
    cut_each(words, [&](ByteRange word, std::vector<ByteRange>& now) { matcher.find_all(text, word, now); });
    return;
  }
  std::vector<Part> parts;
  cut_each(words, [&](ByteRange word, std::vector<ByteRange>& now) {
    parts.clear();
    parts_of(text, word, matcher, invert, parts);
    join_parts(parts, behavior, now);
  });
}

// Runs of \w and runs of what is neither \w nor \s.
void cut_words(std::string_view text, ByteRange word, std::vector<ByteRange>& now) {
  const auto kind = [](char32_t c) {
    const uint32_t bits = unicode_word(c);
    return has(bits, Trait::crate_word) ? 1 : has(bits, Trait::crate_space) ? 0 : 2;
  };
  int current = 0;
  for (size_t at = word.begin; at < word.end;) {
    const auto begin = static_cast<uint32_t>(at);
    const int next = kind(next_char(text, at));
    if (next != 0 && next == current) {
      now.back().end = static_cast<uint32_t>(at);
    } else if (next != 0) {
      now.push_back({begin, static_cast<uint32_t>(at)});
    }
    current = next;
  }
}

void cut_bert(std::string_view text, ByteRange word, std::vector<ByteRange>& now) {
  bool open = false;  // the last piece still grows
  for (size_t at = word.begin; at < word.end;) {
    const auto begin = static_cast<uint32_t>(at);
    const uint32_t bits = unicode_word(next_char(text, at));
    const auto end = static_cast<uint32_t>(at);
    if (has(bits, Trait::white_space)) {
      open = false;
    } else if (has(bits, Trait::punctuation) || !open) {
      now.push_back({begin, end});
      open = !has(bits, Trait::punctuation);
    } else {
      now.back().end = end;
    }
  }
}

// What comes before the first character with a script of its own belongs to no piece, as in the reference.
void cut_scripts(std::string_view text, ByteRange word, std::vector<ByteRange>& now) {
  uint32_t last = 0;
  bool any = false;
  for (size_t at = word.begin; at < word.end;) {
    const auto begin = static_cast<uint32_t>(at);
    const uint32_t script = script_of(unicode_word(next_char(text, at)));
    if (script != 0 && script != last) {
      if (any) now.back().end = begin;
      now.push_back({begin, word.end});
      any = true;
      last = script;
    }
  }
}

void cut_fixed(std::string_view text, ByteRange word, int64_t length, std::vector<ByteRange>& now) {
  size_t at = word.begin;
  while (at < word.end) {
    const auto begin = static_cast<uint32_t>(at);
    for (int64_t n = 0; n < length && at < word.end; ++n) at += char_length(text[at]);
    now.push_back({begin, static_cast<uint32_t>(at)});
  }
}

// Blanks become the replacement, and it is put before a word that does not start with it, as the scheme says.
bool metaspace(const PreTokenizerStep& step, AlignedText& text, std::vector<ByteRange>& words) {
  AlignedText::Draft draft(text);
  const std::string_view old = text.text();
  for (ByteRange& word : words) {
    const auto begin = static_cast<uint32_t>(draft.size());
    const std::string_view body = old.substr(word.begin, word.end - word.begin);
    const bool marked = body.starts_with(' ') || body.starts_with(step.replacement);
    bool prepends = !marked && step.prepend_scheme == PrependScheme::always;
    if (!marked && step.prepend_scheme == PrependScheme::first) {
      if (text.tracked()) {
        prepends = text.origin(word.begin, word.begin + 1).begin == 0;
      } else if (word.begin == 0) {
        prepends = text.starts_at_zero();
        if (prepends && text.doubtful()) return false;
      }
    }
    if (prepends) draft.put(step.replacement, word.begin);
    for (size_t at = word.begin; at < word.end;) {
      const size_t blank = std::min<size_t>(old.substr(0, word.end).find(' ', at), word.end);
      draft.copy(at, blank);
      if (blank < word.end) draft.put(step.replacement, blank);
      at = blank + 1;
    }
    word = {begin, static_cast<uint32_t>(draft.size())};
  }
  text.adopt(std::move(draft));
  if (!step.split) return true;
  const char32_t mark = char_at(step.replacement, 0);
  split_chars(text.text(), words, SplitBehavior::merged_with_next, [mark](char32_t c) { return c == mark; });
  return true;
}

void prefix_blank(AlignedText& text, std::vector<ByteRange>& words) {
  const auto lacks = [&](ByteRange word) { return text.text()[word.begin] != ' '; };
  if (std::none_of(words.begin(), words.end(), lacks)) return;
  AlignedText::Draft draft(text);
  for (ByteRange& word : words) {
    const auto begin = static_cast<uint32_t>(draft.size());
    if (lacks(word)) draft.put(" ", word.begin);
    draft.copy(word.begin, word.end);
    word = {begin, static_cast<uint32_t>(draft.size())};
  }
  text.adopt(std::move(draft));
}

void words_to_byte_level(AlignedText& text, std::vector<ByteRange>& words) {
  AlignedText::Draft draft(text);
  std::string bytes;
  for (ByteRange& word : words) {
    const auto begin = static_cast<uint32_t>(draft.size());
    for (size_t at = word.begin; at < word.end; ++at) {
      bytes.clear();
      append_utf8(bytes, byte_to_char(static_cast<unsigned char>(text.text()[at])));
      draft.put(bytes, at);
    }
    word = {begin, static_cast<uint32_t>(draft.size())};
  }
  text.adopt(std::move(draft));
}

}  // namespace

PreTokenizerChain::PreTokenizerChain(const std::vector<PreTokenizerStep>& steps, const std::string& source) {
  using Kind = PreTokenizerStep::Kind;
  for (const PreTokenizerStep& step : steps) {
    Prepared prepared{step, nullptr};
    if (step.kind == Kind::split) prepared.matcher = std::make_unique<Matcher>(step.pattern, source);
    if (step.kind == Kind::byte_level) prepared.matcher = std::make_unique<Matcher>(Pattern{std::string(byte_level_pattern), true}, source);
    steps_.push_back(std::move(prepared));
  }
}

bool PreTokenizerChain::ends_in_byte_level() const {
  return !steps_.empty() && steps_.back().step.kind == PreTokenizerStep::Kind::byte_level;
}

bool PreTokenizerChain::needs_tracking() const {
  for (size_t i = 1; i < steps_.size(); ++i) {
    if (steps_[i].step.kind == PreTokenizerStep::Kind::metaspace && steps_[i].step.prepend_scheme == PrependScheme::first) return true;
  }
  return false;
}

bool PreTokenizerChain::run(const Prepared& prepared, bool last, AlignedText& text, std::vector<ByteRange>& words) const {
  using Kind = PreTokenizerStep::Kind;
  const PreTokenizerStep& step = prepared.step;
  switch (step.kind) {
    case Kind::byte_level:
      if (step.add_prefix_space) prefix_blank(text, words);
      if (step.use_regex) split_pattern(text.text(), words, *prepared.matcher, SplitBehavior::isolated, false);
      if (!(last && keep_bytes_)) words_to_byte_level(text, words);
      break;
    case Kind::split:
      split_pattern(text.text(), words, *prepared.matcher, step.behavior, step.invert);
      break;
    case Kind::digits:
      split_chars(text.text(), words, step.individual_digits ? SplitBehavior::isolated : SplitBehavior::contiguous,
                  [](char32_t c) { return is(c, Trait::numeric); });
      break;
    case Kind::punctuation:
      split_chars(text.text(), words, step.behavior, punctuation);
      break;
    case Kind::whitespace:
      cut_each(words, [&](ByteRange w, std::vector<ByteRange>& now) { cut_words(text.text(), w, now); });
      break;
    case Kind::whitespace_split:
      split_chars(text.text(), words, SplitBehavior::removed, [](char32_t c) { return is(c, Trait::white_space); });
      break;
    case Kind::metaspace:
      return metaspace(step, text, words);
    case Kind::bert:
      cut_each(words, [&](ByteRange w, std::vector<ByteRange>& now) { cut_bert(text.text(), w, now); });
      break;
    case Kind::char_delimiter: {
      const char32_t delimiter = char_at(step.replacement, 0);
      split_chars(text.text(), words, SplitBehavior::removed, [delimiter](char32_t c) { return c == delimiter; });
      break;
    }
    case Kind::unicode_scripts:
      cut_each(words, [&](ByteRange w, std::vector<ByteRange>& now) { cut_scripts(text.text(), w, now); });
      break;
    case Kind::fixed_length:
      cut_each(words, [&](ByteRange w, std::vector<ByteRange>& now) { cut_fixed(text.text(), w, step.length, now); });
      break;
  }
  return true;
}

bool PreTokenizerChain::apply(AlignedText& text, std::vector<ByteRange>& words) const {
  if (text.text().empty()) return true;
  words.push_back({0, static_cast<uint32_t>(text.text().size())});
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!run(steps_[i], i + 1 == steps_.size(), text, words)) return false;
  }
  return true;
}

}  // namespace tessera::text
