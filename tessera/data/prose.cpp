#include "tessera/data/prose.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/text/unicode_normal.h"

namespace tessera::data {
namespace {

// windows-1252 for bytes 0x80 to 0x9f; the five that it leaves open are read as the C1 controls of Latin-1, which clean_prose drops.
constexpr std::array<uint16_t, 32> windows1252 = {0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
                                                  0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                                  0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

void append_code_point(std::string& out, uint32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(n));
}

// Reads one code point at `at` and moves past it; -1 (and one byte further) when the bytes are not UTF-8.
int32_t next_code_point(std::string_view text, size_t& at) {
  utf8proc_int32_t c = -1;
  const auto n =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at, static_cast<utf8proc_ssize_t>(text.size() - at), &c);
  at += n > 0 ? static_cast<size_t>(n) : 1;
  return n > 0 ? c : -1;
}

std::string utf16_to_utf8(std::string_view bytes, bool big_endian) {
  const auto unit = [&](size_t i) {
    const auto a = static_cast<uint8_t>(bytes[i]), b = static_cast<uint8_t>(bytes[i + 1]);
    return static_cast<uint32_t>(big_endian ? a << 8 | b : b << 8 | a);
  };
  std::string out;
  for (size_t i = 2; i + 1 < bytes.size(); i += 2) {
    uint32_t c = unit(i);
    if (c >= 0xD800 && c < 0xDC00 && i + 3 < bytes.size() && unit(i + 2) >= 0xDC00 && unit(i + 2) < 0xE000) {
      c = 0x10000 + ((c - 0xD800) << 10) + (unit(i + 2) - 0xDC00);
      i += 2;
    } else if (c >= 0xD800 && c < 0xE000) {
      c = 0xFFFD;
    }
    append_code_point(out, c);
  }
  return out;
}

// What a code point is to clean_prose.
enum class Kind { text, space, line_end, nothing };
Kind kind_of(int32_t c) {
  if (c == '\n' || c == 0x2028 || c == 0x2029 || c == '\f' || c == '\v' || c == 0x85) return Kind::line_end;
  if (c == ' ' || c == '\t' || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F || c == 0x3000)
    return Kind::space;
  // Controls, soft hyphen, zero-width space, direction marks, word joiner, byte order mark, and U+FFFD that earlier tools left behind.
  // ZERO WIDTH (NON-)JOINER stay: Persian and Indic words need them.
  if (c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x200B || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
      c == 0x2060 || c == 0xFEFF || c == 0xFFFD)
    return Kind::nothing;
  return Kind::text;
}

bool starts_own_line(std::string_view line) {
  for (std::string_view mark : {"-- ", "- ", "* ", "+ ", "o ", "\xE2\x80\xA2 "})
    if (line.starts_with(mark)) return true;
  size_t digits = 0;
  while (digits < line.size() && line[digits] >= '0' && line[digits] <= '9') ++digits;
  return digits > 0 && digits < 3 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ';
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    if (static_cast<uint8_t>(bytes[at]) < 0x80) {
      ++at;
      continue;
    }
    if (next_code_point(bytes, at) < 0) return false;
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (bytes.starts_with("\xFF\xFE")) return utf16_to_utf8(bytes, false);
  if (bytes.starts_with("\xFE\xFF")) return utf16_to_utf8(bytes, true);
  if (is_utf8(bytes)) return std::string(bytes);
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (const char byte : bytes) {
    const auto c = static_cast<uint8_t>(byte);
    append_code_point(out, c >= 0x80 && c < 0xA0 ? windows1252[c - 0x80] : c);
  }
  return out;
}

std::string to_nfc(std::string_view text) {
  bool ascii = true;
  for (const char c : text) ascii = ascii && static_cast<uint8_t>(c) < 0x80;
  if (ascii || text::surely_normal(text)) return std::string(text);
  std::vector<text::Change> characters;
  text::decompose(text, text::Decomposition::canonical, characters);
  text::compose(characters);
  std::string out;
  out.reserve(text.size());
  for (const text::Change& each : characters) append_code_point(out, each.c);
  return out;
}

std::string clean_prose(std::string_view text) {
  const std::string utf8 = to_nfc(to_utf8(text));
  std::string out;
  out.reserve(utf8.size());
  int line_ends = std::numeric_limits<int>::min();  // waiting line ends; none are written before the first text
  bool space = false;
  for (size_t at = 0; at < utf8.size();) {
    const size_t begin = at;
    int32_t c = next_code_point(utf8, at);
    if (c == '\r') c = at < utf8.size() && utf8[at] == '\n' ? 0 : '\n';
    switch (kind_of(c)) {
      case Kind::nothing:
        break;
      case Kind::space:
        space = true;
        break;
      case Kind::line_end:
        line_ends += line_ends < 2;
        space = false;
        break;
      case Kind::text:
        if (line_ends > 0) {
          out.append(line_ends == 1 ? "\n" : "\n\n");
          space = false;
        } else if (space && !out.empty()) {
          out += ' ';
        }
        line_ends = 0;
        space = false;
        out.append(utf8, begin, at - begin);
    }
  }
  if (!out.empty()) out += '\n';
  // Marks that stood before a dropped character may now combine: compose once more so that a second pass finds nothing to do.
  return to_nfc(out);
}

std::string unwrap_lines(std::string_view text) {
  const std::string clean = clean_prose(text);
  std::string out;
  out.reserve(clean.size());
  for (size_t at = 0; at < clean.size();) {
    const size_t end = clean.find('\n', at);
    const std::string_view line(clean.data() + at, end - at);
    at = end + 1;
    if (line.empty()) {
      out += "\n\n";
    } else if (!out.empty() && out.back() != '\n') {
      out += starts_own_line(line) ? '\n' : ' ';
    }
    out += line;
  }
  return clean_prose(out);
}

}  // namespace tessera::data
