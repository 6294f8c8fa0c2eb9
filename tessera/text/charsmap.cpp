#include "tessera/text/charsmap.h"

#include <utf8proc.h>

#include <cstring>

#include "tessera/base/error.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

// The end of the extended grapheme cluster that starts at `at`.
size_t grapheme_end(std::string_view text, size_t at) {
  utf8proc_int32_t state = 0;
  auto before = static_cast<utf8proc_int32_t>(next_char(text, at));
  while (at < text.size()) {
    size_t next = at;
    const auto c = static_cast<utf8proc_int32_t>(next_char(text, next));
    if (utf8proc_grapheme_break_stateful(before, c, &state)) break;
    before = c;
    at = next;
  }
  return at;
}

// The characters of `now` in the place of `old_count` old ones.
void push_replacement(std::vector<Change>& changes, int32_t old_count, std::string_view now) {
  int32_t count = 0;
  for (size_t at = 0; at < now.size(); ++count) changes.push_back({next_char(now, at), 0});
  for (int32_t i = 0; i < count - old_count && i < count; ++i) changes[changes.size() - 1 - static_cast<size_t>(i)].change = 1;
  if (count < old_count && !changes.empty()) changes.back().change += count - old_count;
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& source) {
  if (blob.empty()) return;
  uint32_t size = 0;
  if (blob.size() >= 4) std::memcpy(&size, blob.data(), 4);
  if (blob.size() < 4 || size > blob.size() - 4 || size % 4 != 0) {
    throw InputError("{}: normalizer Precompiled: its map of {} bytes promises a trie of {}; the file is damaged, copy it again", source,
                     blob.size(), size);
  }
  units_.resize(size / 4);
  if (size > 0) std::memcpy(units_.data(), blob.data() + 4, size);
  replacements_ = blob.substr(4 + size);
  if (!valid_utf8(replacements_)) {
    throw InputError("{}: normalizer Precompiled: its replacements are not UTF-8; the file is damaged, copy it again", source);
  }
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const {
  // Darts-clone: a unit holds its label, an offset to its children and whether one of them is a leaf with the value.
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  if (units_.empty()) return std::nullopt;
  size_t node = offset(units_[0]);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) break;
    node ^= byte;
    if (node >= units_.size()) return std::nullopt;
    const uint32_t unit = units_[node];
    if ((unit & (1u << 31 | 0xff)) != byte) return std::nullopt;
    node ^= offset(unit);
    if (((unit >> 8) & 1) == 0) continue;
    if (node >= units_.size()) return std::nullopt;
    const size_t at = units_[node] & 0x7fffffff;
    if (at >= replacements_.size() || (at > 0 && (static_cast<unsigned char>(replacements_[at]) & 0xc0) == 0x80)) return std::nullopt;
    const std::string_view rest = std::string_view(replacements_).substr(at);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

void Charsmap::apply(AlignedText& aligned) const {
  const std::string_view text = aligned.text();
  std::vector<Change> changes;
  changes.reserve(text.size());
  bool modified = false;
  const size_t most = 16 * text.size() + replacements_.size();  // no honest map makes a text longer than this
  for (size_t at = 0; at < text.size();) {
    if (changes.size() > most)
      throw InputError("normalizer Precompiled makes a text of {} bytes endless; its map is damaged, copy it again", text.size());
    const size_t end = grapheme_end(text, at);
    if (end - at < 6) {
      const std::string_view grapheme = text.substr(at, end - at);
      if (const auto now = find(grapheme)) {
        push_replacement(changes, static_cast<int32_t>(count_chars(grapheme)), *now);
        modified = true;
        at = end;
        continue;
      }
    }
    while (at < end) {
      const size_t begin = at;
      const char32_t c = next_char(text, at);
      if (const auto now = find(text.substr(begin, at - begin))) {
        push_replacement(changes, 1, *now);
        modified = true;
      } else {
        changes.push_back({c, 0});
      }
    }
  }
  if (modified) aligned.transform(changes);
}

}  // namespace tessera::text
