#pragma once
// Properties of code points as the tokenizer oracle sees them, and UTF-8 one character at a time. The table is generated: see
// tests/parity/tokenizer_unicode.py.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tessera::text {

// General categories in the order of the generated table.
enum class Category : uint8_t {
  Cn,
  Lu,
  Ll,
  Lt,
  Lm,
  Lo,
  Mn,
  Mc,
  Me,
  Nd,
  Nl,
  No,
  Pc,
  Pd,
  Ps,
  Pe,
  Pi,
  Pf,
  Po,
  Sm,
  Sc,
  Sk,
  So,
  Zs,
  Zl,
  Zp,
  Cc,
  Cf,
  Cs,
  Co
};

// One bit a property; several libraries inside the oracle disagree about the newest characters, hence the near-duplicates.
enum class Trait : uint32_t {
  white_space = 1u << 5,      // WhitespaceSplit, Strip, BertPreTokenizer
  numeric = 1u << 6,          // Digits
  punctuation = 1u << 7,      // Punctuation, BertPreTokenizer
  crate_word = 1u << 8,       // \w of Whitespace and of single_word
  crate_space = 1u << 9,      // \s of Whitespace, lstrip and rstrip
  bert_removed = 1u << 10,    // BertNormalizer's clean_text deletes it
  bert_mark = 1u << 11,       // BertNormalizer's strip_accents deletes it
  combining_mark = 1u << 12,  // StripAccents deletes it
  pattern_word = 1u << 13,    // \w in a pattern
  pattern_space = 1u << 14,   // \s in a pattern
  bert_space = 1u << 15,      // clean_text makes it a blank
  nfkd_inert = 1u << 16,      // has no decomposition of any kind
  reordered = 1u << 17,       // has a combining class other than 0
};

// 32 bits a code point: the category in the low five, the traits, the script's number in the high eight (0: belongs to any script).
class UnicodeTable {
 public:
  static const UnicodeTable& get();
  uint32_t word(char32_t c) const { return c < 0x110000 ? words_[static_cast<size_t>(block_[c >> 8]) << 8 | (c & 0xff)] : 0; }

 private:
  UnicodeTable();
  std::array<uint16_t, 0x1100> block_;
  std::unique_ptr<uint32_t[]> words_;  // the distinct blocks of 256
};

inline uint32_t unicode_word(char32_t c) { return UnicodeTable::get().word(c); }
inline Category category_of(uint32_t word) { return static_cast<Category>(word & 31); }
inline bool has(uint32_t word, Trait trait) { return (word & static_cast<uint32_t>(trait)) != 0; }
inline bool is(char32_t c, Trait trait) { return has(unicode_word(c), trait); }
inline bool is_letter(uint32_t word) { return (word & 31) >= 1 && (word & 31) <= 5; }   // \p{L}
inline bool is_mark(uint32_t word) { return (word & 31) >= 6 && (word & 31) <= 8; }     // \p{M}
inline bool is_number(uint32_t word) { return (word & 31) >= 9 && (word & 31) <= 11; }  // \p{N}
inline uint32_t script_of(uint32_t word) { return word >> 24; }

// The lower case of `c` in one or two characters; second is 0 when there is one.
struct LowerCase {
  char32_t first = 0, second = 0;
};
LowerCase lower_case(char32_t c);

// The character at text[at], which must be the start of one in valid UTF-8; moves `at` past it.
inline char32_t next_char(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return static_cast<char32_t>(text[at++]);
  if (lead < 0xe0) {
    const char32_t c = static_cast<char32_t>(lead & 0x1f) << 6 | (byte(1) & 0x3f);
    at += 2;
    return c;
  }
  if (lead < 0xf0) {
    const char32_t c = static_cast<char32_t>(lead & 0x0f) << 12 | static_cast<char32_t>(byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    at += 3;
    return c;
  }
  const char32_t c = static_cast<char32_t>(lead & 0x07) << 18 | static_cast<char32_t>(byte(1) & 0x3f) << 12 |
                     static_cast<char32_t>(byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
  at += 4;
  return c;
}
inline char32_t char_at(std::string_view text, size_t at) { return next_char(text, at); }
// The start of the character that ends just before `at` (> 0).
inline size_t previous_start(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  return at;
}
// Bytes of the UTF-8 character that starts with `lead`.
inline size_t char_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}
inline size_t utf8_size(char32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }
void append_utf8(std::string& out, char32_t c);
size_t count_chars(std::string_view text);  // of valid UTF-8

bool valid_utf8(std::string_view text);
// Bytes of the maximal broken part that starts at `at` (1 to 3), or 0 when a valid character starts there: what becomes one U+FFFD.
size_t broken_length(std::string_view text, size_t at);
std::string with_replacements(std::string_view text);  // every broken part as U+FFFD

}  // namespace tessera::text
