// Upper, lower and title case and the str.is... questions. utf8proc maps one code point to one; the few that grow are in a table here.

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

struct Grown {
  char32_t from;
  const char* upper;
  const char* title;
};

// The unconditional entries of Unicode's SpecialCasing that occur in living text.
constexpr Grown kGrown[] = {
    {0x00DF, "SS", "Ss"}, {0x0149, "ʼN", "ʼN"}, {0x01F0, "J̌", "J̌"},     {0x0390, "Ϊ́", "Ϊ́"},     {0x03B0, "Ϋ́", "Ϋ́"},   {0x0587, "ԵՒ", "Եւ"},
    {0x1E96, "H̱", "H̱"},   {0x1E97, "T̈", "T̈"},   {0x1E98, "W̊", "W̊"},     {0x1E99, "Y̊", "Y̊"},     {0x1E9A, "Aʾ", "Aʾ"}, {0xFB00, "FF", "Ff"},
    {0xFB01, "FI", "Fi"}, {0xFB02, "FL", "Fl"}, {0xFB03, "FFI", "Ffi"}, {0xFB04, "FFL", "Ffl"}, {0xFB05, "ST", "St"}, {0xFB06, "ST", "St"}};

const Grown* grown(char32_t c) {
  const auto* const found = std::find_if(std::begin(kGrown), std::end(kGrown), [c](const Grown& g) { return g.from == c; });
  return found == std::end(kGrown) ? nullptr : found;
}

int category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// Letters that have a case, as Python's title and isupper see them: Lu, Ll, Lt and the few others that map to another case.
bool has_case(char32_t c) {
  const int kind = category(c);
  if (kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT) return true;
  return utf8proc_toupper(static_cast<int>(c)) != static_cast<int>(c) || utf8proc_tolower(static_cast<int>(c)) != static_cast<int>(c);
}

void append_upper(std::string& out, char32_t c) {
  if (const Grown* g = c < 0x80 ? nullptr : grown(c)) {
    out += g->upper;
  } else {
    append_point(out, static_cast<char32_t>(utf8proc_toupper(static_cast<int>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const Grown* g = c < 0x80 ? nullptr : grown(c)) {
    out += g->title;
  } else {
    append_point(out, static_cast<char32_t>(utf8proc_totitle(static_cast<int>(c))));
  }
}

// A sigma at the end of a word is ς: a cased letter before it, none after it, marks and apostrophes skipped.
bool is_final_sigma(std::string_view text, size_t begin, size_t end) {
  const auto skipped = [](char32_t c) {
    const int kind = category(c);
    return c == '\'' || c == 0xAD || c == 0x2019 || c == '.' || c == ':' || c == 0xB7 || kind == UTF8PROC_CATEGORY_MN ||
           kind == UTF8PROC_CATEGORY_ME || kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_LM || kind == UTF8PROC_CATEGORY_SK;
  };
  bool before = false;
  for (size_t at = begin; at > 0;) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u);
    size_t next = at;
    const char32_t c = next_point(text, next);
    if (skipped(c)) continue;
    before = has_case(c);
    break;
  }
  if (!before) return false;
  while (end < text.size()) {
    const char32_t c = next_point(text, end);
    if (!skipped(c)) return !has_case(c);
  }
  return true;
}

void append_lower(std::string& out, char32_t c, std::string_view text, size_t begin, size_t end) {
  if (c == 0x130) {
    out += "i̇";
  } else if (c == 0x3A3) {
    append_point(out, is_final_sigma(text, begin, end) ? 0x3C2 : 0x3C3);
  } else {
    append_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<int>(c))));
  }
}

// Calls step(point, begin, end) for every code point.
template <class Step>
void each(std::string_view text, Step step) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_point(text, at);
    step(c, begin, at);
  }
}

bool is_superscript_digit(char32_t c) {
  return c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) || (c >= 0x2488 && c <= 0x2490);
}

bool is_ideograph_number(char32_t c) {
  return std::u32string_view(U"一二三四五六七八九十百千万億兆〇零").find(c) != std::u32string_view::npos;
}

bool is_of(char32_t c, Class kind) {
  const int group = category(c);
  const bool alpha = group >= UTF8PROC_CATEGORY_LU && group <= UTF8PROC_CATEGORY_LO;
  const bool decimal = group == UTF8PROC_CATEGORY_ND;
  const bool digit = decimal || is_superscript_digit(c);
  const bool numeric = digit || group == UTF8PROC_CATEGORY_NL || group == UTF8PROC_CATEGORY_NO || is_ideograph_number(c);
  switch (kind) {
    case Class::alpha:
      return alpha;
    case Class::decimal:
      return decimal;
    case Class::digit:
      return digit;
    case Class::numeric:
      return numeric;
    case Class::alnum:
      return alpha || numeric;
    default:
      return is_space(c);
  }
}

}  // namespace

std::string upper(std::string_view text) {
  std::string out;
  each(text, [&](char32_t c, size_t, size_t) { append_upper(out, c); });
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  each(text, [&](char32_t c, size_t begin, size_t end) { append_lower(out, c, text, begin, end); });
  return out;
}

std::string casefold(std::string_view text) {
  std::string out;
  each(text, [&](char32_t c, size_t, size_t) {
    if (c < 0x80) {
      out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      return;
    }
    utf8proc_int32_t folded[8];
    int last = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8, UTF8PROC_CASEFOLD, &last);
    for (utf8proc_ssize_t i = 0; i < count && i < 8; ++i) append_point(out, static_cast<char32_t>(folded[i]));
  });
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  each(text, [&](char32_t c, size_t begin, size_t end) {
    if (begin == 0) {
      append_title(out, c);
    } else {
      append_lower(out, c, text, begin, end);
    }
  });
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  each(text, [&](char32_t c, size_t begin, size_t end) {
    if (inside) {
      append_lower(out, c, text, begin, end);
    } else {
      append_title(out, c);
    }
    inside = has_case(c);
  });
  return out;
}

std::string title_words(std::string_view text) {
  std::string out;
  size_t word = 0;
  const auto flush = [&](size_t end) {
    const std::string_view piece = text.substr(word, end - word);
    size_t first = 0;
    if (!piece.empty()) next_point(piece, first);
    out += upper(piece.substr(0, first)) + lower(piece.substr(first));
    word = end;
  };
  bool in_break = false;
  each(text, [&](char32_t c, size_t begin, size_t) {
    const bool breaks = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    if (breaks != in_break) flush(begin);
    in_break = breaks;
  });
  flush(text.size());
  return out;
}

bool all_are(std::string_view text, Class kind) {
  if (text.empty()) return false;
  bool cased = false, all = true;
  each(text, [&](char32_t c, size_t, size_t) {
    if (kind == Class::upper || kind == Class::lower) {
      const int group = category(c);
      const bool is_upper = group == UTF8PROC_CATEGORY_LU || (c >= 0x2160 && c <= 0x216F) || (c >= 0x24B6 && c <= 0x24CF);
      const bool is_lower =
          group == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA || (c >= 0x2170 && c <= 0x217F) || (c >= 0x24D0 && c <= 0x24E9);
      cased |= is_upper || is_lower;
      all &= !(kind == Class::upper ? is_lower : is_upper) && group != UTF8PROC_CATEGORY_LT;
    } else {
      all &= is_of(c, kind);
    }
  });
  return all && (cased || (kind != Class::upper && kind != Class::lower));
}

}  // namespace tessera::text::jinja
