#include "tessera/text/unicode.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <vector>

namespace tessera::text {

namespace {

struct UnicodeRun {
  uint32_t begin, word;  // up to the next run's begin
};
struct LowercaseEntry {
  uint32_t from, first, second;
};
#include "tessera/text/unicode_table.inc"

}  // namespace

UnicodeTable::UnicodeTable() {
  std::vector<uint32_t> all(0x110000, 0);
  for (size_t i = 0; i < std::size(unicode_runs); ++i) {
    const size_t end = i + 1 < std::size(unicode_runs) ? unicode_runs[i + 1].begin : all.size();
    std::fill(all.begin() + unicode_runs[i].begin, all.begin() + static_cast<ptrdiff_t>(end), unicode_runs[i].word);
  }
  std::map<std::string_view, uint16_t> seen;
  std::vector<uint32_t> kept;
  for (size_t b = 0; b < block_.size(); ++b) {
    const std::string_view bytes(reinterpret_cast<const char*>(&all[b << 8]), 256 * sizeof(uint32_t));
    const auto [it, fresh] = seen.emplace(bytes, static_cast<uint16_t>(seen.size()));
    if (fresh) kept.insert(kept.end(), all.begin() + static_cast<ptrdiff_t>(b << 8), all.begin() + static_cast<ptrdiff_t>((b + 1) << 8));
    block_[b] = it->second;
  }
  words_ = std::make_unique<uint32_t[]>(kept.size());
  std::copy(kept.begin(), kept.end(), words_.get());
}

const UnicodeTable& UnicodeTable::get() {
  static const UnicodeTable table;
  return table;
}

LowerCase lower_case(char32_t c) {
  if (c < 0x80) return {c >= 'A' && c <= 'Z' ? c + 32 : c, 0};
  const auto* end = std::end(lowercase_entries);
  const auto* it = std::lower_bound(std::begin(lowercase_entries), end, c, [](const LowercaseEntry& e, char32_t x) { return e.from < x; });
  if (it == end || it->from != c) return {c, 0};
  return {it->first, it->second};
}

void append_utf8(std::string& out, char32_t c) {
  char bytes[4];
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  const size_t n = utf8_size(c);
  for (size_t i = n - 1; i > 0; --i, c >>= 6) bytes[i] = static_cast<char>(0x80 | (c & 0x3f));
  bytes[0] = static_cast<char>((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
  out.append(bytes, n);
}

size_t count_chars(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

size_t broken_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> unsigned { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 0;
  if (lead < 0xc2 || lead > 0xf4) return 1;
  const size_t n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;  // the second byte's range (Unicode table 3-7)
  const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 1;
  for (size_t i = 2; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return i;
  }
  return 0;
}

std::string with_replacements(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t at = 0; at < text.size();) {
    const size_t broken = broken_length(text, at);
    const size_t length = broken > 0 ? broken : char_length(text[at]);
    if (broken > 0) {
      out += "\xef\xbf\xbd";
    } else {
      out.append(text.substr(at, length));
    }
    at += length;
  }
  return out;
}

}  // namespace tessera::text
