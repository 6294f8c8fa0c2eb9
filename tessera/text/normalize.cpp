#include "tessera/text/normalize.h"

#include <algorithm>
#include <array>

#include "tessera/text/byte_level.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

bool all_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void normal_form(AlignedText& text, NormalizerStep::Kind kind) {
  using Kind = NormalizerStep::Kind;
  if (all_ascii(text.text()) || surely_normal(text.text())) return;
  std::vector<Change> changes;
  changes.reserve(text.text().size());
  const bool compatible = kind == Kind::nfkc || kind == Kind::nfkd;
  decompose(text.text(), compatible ? Decomposition::compatible : Decomposition::canonical, changes);
  if (kind == Kind::nfc || kind == Kind::nfkc) compose(changes);
  text.transform(changes);
}

// Characters as they are where map(c) is c.
template <class Map>
void map_chars(AlignedText& aligned, Map map) {
  const std::string_view text = aligned.text();
  std::vector<Change> changes;
  changes.reserve(text.size());
  bool modified = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at), now = map(c);
    modified |= now != c;
    changes.push_back({now, 0});
  }
  if (modified) aligned.transform(changes);
}

void lowercase(AlignedText& aligned) {
  const std::string_view text = aligned.text();
  std::vector<Change> changes;
  changes.reserve(text.size());
  bool modified = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    const LowerCase low = lower_case(c);
    modified |= low.first != c;
    changes.push_back({low.first, 0});
    if (low.second != 0) changes.push_back({low.second, 1});
  }
  if (modified) aligned.transform(changes);
}

void strip(AlignedText& aligned, bool left, bool right) {
  const std::string_view text = aligned.text();
  size_t begin = 0, end = text.size(), removed = 0;
  while (left && begin < end && is(char_at(text, begin), Trait::white_space)) {
    begin += char_length(text[begin]);
    ++removed;
  }
  while (right && end > begin && is(char_at(text, previous_start(text, end)), Trait::white_space)) end = previous_start(text, end);
  if (begin == 0 && end == text.size()) return;
  std::vector<Change> changes;
  for (size_t at = begin; at < end;) changes.push_back({next_char(text, at), 0});
  aligned.transform(changes, removed);
}

bool chinese_char(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

void surround_chinese(AlignedText& aligned) {
  const std::string_view text = aligned.text();
  std::vector<Change> changes;
  changes.reserve(text.size());
  bool modified = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    if (!chinese_char(c)) {
      changes.push_back({c, 0});
      continue;
    }
    modified = true;
    changes.insert(changes.end(), {{U' ', 0}, {c, 1}, {U' ', 1}});
  }
  if (modified) aligned.transform(changes);
}

void bert(AlignedText& text, const NormalizerStep& step) {
  const bool ascii = all_ascii(text.text());
  if (step.clean_text) {
    const auto unwanted = [](char32_t c) { return c >= 0x7f || c < 0x20; };
    const std::string_view now = text.text();
    if (!ascii || std::any_of(now.begin(), now.end(), [&](char c) { return unwanted(static_cast<unsigned char>(c)); })) {
      text.filter([](char32_t c) { return !is(c, Trait::bert_removed); });
      map_chars(text, [](char32_t c) { return is(c, Trait::bert_space) ? U' ' : c; });
    }
  }
  if (step.handle_chinese_chars && !ascii) surround_chinese(text);
  if (step.strip_accents.value_or(step.lowercase_all) && !ascii) {
    normal_form(text, NormalizerStep::Kind::nfd);
    text.filter([](char32_t c) { return !is(c, Trait::bert_mark); });
  }
  if (step.lowercase_all) lowercase(text);
}

bool nmt_removed(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
}

bool nmt_space(char32_t c) {
  return c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 ||
         c == 0x2581 || c == 0xfeff || c == 0xfffd;
}

}  // namespace

NormalizerChain::NormalizerChain(const std::vector<NormalizerStep>& steps, const std::string& source) {
  for (const NormalizerStep& step : steps) {
    Prepared prepared{step, nullptr, nullptr};
    if (step.kind == NormalizerStep::Kind::replace) prepared.matcher = std::make_unique<Matcher>(step.pattern, source);
    if (step.kind == NormalizerStep::Kind::precompiled) prepared.charsmap = std::make_unique<Charsmap>(step.content, source);
    steps_.push_back(std::move(prepared));
  }
}

void NormalizerChain::run(const Prepared& prepared, AlignedText& text) {
  using Kind = NormalizerStep::Kind;
  const NormalizerStep& step = prepared.step;
  switch (step.kind) {
    case Kind::nfc:
    case Kind::nfd:
    case Kind::nfkc:
    case Kind::nfkd:
      return normal_form(text, step.kind);
    case Kind::lowercase:
      return lowercase(text);
    case Kind::strip:
      return strip(text, step.left, step.right);
    case Kind::strip_accents:
      if (!all_ascii(text.text())) text.filter([](char32_t c) { return !is(c, Trait::combining_mark); });
      return;
    case Kind::replace: {
      std::vector<ByteRange> matches;
      prepared.matcher->find_all(text.text(), matches);
      return text.replace(matches, step.content);
    }
    case Kind::prepend:
      return text.prepend(step.content);
    case Kind::bert:
      return bert(text, step);
    case Kind::precompiled:
      return prepared.charsmap->apply(text);
    case Kind::byte_level:
      return to_byte_level(text);
    case Kind::nmt:
      text.filter([](char32_t c) { return !nmt_removed(c); });
      return map_chars(text, [](char32_t c) { return nmt_space(c) ? U' ' : c; });
  }
}

void NormalizerChain::apply(AlignedText& text) const {
  for (const Prepared& prepared : steps_) run(prepared, text);
}

std::string NormalizerChain::apply(std::string_view text) const {
  AlignedText aligned(text, 0, Tracking::off);
  apply(aligned);
  return std::string(aligned.text());
}

}  // namespace tessera::text
