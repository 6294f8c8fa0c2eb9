#include "tessera/text/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tessera/base/error.h"

namespace tessera::text::jinja {

char32_t next_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(at);
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  if (first < 0x80) return ++at, first;
  if (first >= 0xC2 && first < 0xE0 && follows(at + 1)) {
    const char32_t point = ((first & 0x1Fu) << 6) | (byte(at + 1) & 0x3Fu);
    return at += 2, point;
  }
  if ((first & 0xF0u) == 0xE0 && follows(at + 1) && follows(at + 2)) {
    const char32_t point = ((first & 0x0Fu) << 12) | ((byte(at + 1) & 0x3Fu) << 6) | (byte(at + 2) & 0x3Fu);
    if (point >= 0x800 && (point < 0xD800 || point > 0xDFFF)) return at += 3, point;
  }
  if (first >= 0xF0 && first < 0xF5 && follows(at + 1) && follows(at + 2) && follows(at + 3)) {
    const char32_t point =
        ((first & 0x07u) << 18) | ((byte(at + 1) & 0x3Fu) << 12) | ((byte(at + 2) & 0x3Fu) << 6) | (byte(at + 3) & 0x3Fu);
    if (point >= 0x10000 && point <= 0x10FFFF) return at += 4, point;
  }
  return ++at, 0xFFFD;
}

void append_point(std::string& out, char32_t point) {
  if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) point = 0xFFFD;
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += {static_cast<char>(0xC0 | (point >> 6)), static_cast<char>(0x80 | (point & 0x3F))};
  } else if (point < 0x10000) {
    out += {static_cast<char>(0xE0 | (point >> 12)), static_cast<char>(0x80 | ((point >> 6) & 0x3F)),
            static_cast<char>(0x80 | (point & 0x3F))};
  } else {
    out += {static_cast<char>(0xF0 | (point >> 18)), static_cast<char>(0x80 | ((point >> 12) & 0x3F)),
            static_cast<char>(0x80 | ((point >> 6) & 0x3F)), static_cast<char>(0x80 | (point & 0x3F))};
  }
}

void require_utf8(std::string_view text, std::string_view what) {
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    if (next_point(text, at) == 0xFFFD && at == from + 1) throw InputError("{}: byte {} is not UTF-8; save it as UTF-8 text", what, from);
  }
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_letter_category(int category) { return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO; }

bool is_word(char32_t c) {
  if (c < 0x80) return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const int category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return is_letter_category(category) || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

size_t length(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::vector<size_t> point_offsets(std::string_view text) {
  std::vector<size_t> offsets;
  offsets.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    offsets.push_back(at);
    next_point(text, at);
  }
  offsets.push_back(text.size());
  return offsets;
}

std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> set) {
  const auto drop = [&](std::string_view point) {
    if (set) return set->find(point) != std::string_view::npos;
    size_t at = 0;
    return is_space(next_point(point, at));
  };
  if (side != Side::right) {
    while (!text.empty()) {
      size_t end = 0;
      next_point(text, end);
      if (!drop(text.substr(0, end))) break;
      text.remove_prefix(end);
    }
  }
  if (side != Side::left) {
    while (!text.empty()) {
      size_t begin = text.size() - 1;
      while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0u) == 0x80u) --begin;
      if (!drop(text.substr(begin))) break;
      text.remove_suffix(text.size() - begin);
    }
  }
  return text;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  text = strip(text, from_right ? Side::right : Side::left);
  while (!text.empty() && (limit < 0 || static_cast<int64_t>(parts.size()) < limit)) {
    size_t cut = std::string_view::npos, cut_end = 0;  // the first (last) run of white space
    for (size_t at = 0; at < text.size();) {
      const size_t from = at;
      if (!is_space(next_point(text, at))) continue;
      if (!from_right) {
        cut = from;
        break;
      }
      cut = from, cut_end = at;
    }
    if (cut == std::string_view::npos) break;
    parts.push_back(from_right ? text.substr(cut_end) : text.substr(0, cut));
    text = from_right ? strip(text.substr(0, cut), Side::right) : strip(text.substr(cut), Side::left);
  }
  if (!text.empty()) parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(from_right ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    const char32_t c = next_point(text, at);
    if (!((c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : from) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  int64_t done = 0;
  if (from.empty()) {
    for (size_t at = 0; at <= text.size();) {
      if (limit < 0 || done++ < limit) out += to;
      if (at == text.size()) break;
      const size_t begin = at;
      next_point(text, at);
      out += text.substr(begin, at - begin);
    }
    return out;
  }
  size_t at = 0;
  while (limit < 0 || done < limit) {
    const size_t hit = text.find(from, at);
    if (hit == std::string_view::npos) break;
    out += text.substr(at, hit - at);
    out += to;
    at = hit + from.size();
    ++done;
  }
  out += text.substr(at);
  return out;
}

std::string repr(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos, has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    const char32_t c = next_point(text, at);
    const int category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    const bool separator = category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP;
    const bool hidden = category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_CC || (separator && c != ' ');
    if (c == '\\' || c == static_cast<unsigned char>(quote)) {
      out += {'\\', static_cast<char>(c)};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (!hidden) {
      out += text.substr(from, at - from);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else {
      out += c < 0x10000 ? fmt::format("\\u{:04x}", static_cast<uint32_t>(c)) : fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  return out += quote;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string_view shown(buffer, static_cast<size_t>(end - buffer));
  const bool negative = shown.starts_with('-');
  if (negative) shown.remove_prefix(1);
  const size_t e = shown.find('e');
  const int exponent = std::atoi(std::string(shown.substr(e + 1)).c_str());
  std::string digits(1, shown[0]);
  if (e > 2) digits += shown.substr(2, e - 2);
  std::string out;
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out = digits.substr(0, 1) + (count > 1 ? "." + digits.substr(1) : "") +
          fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out = "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (count <= exponent + 1) {
    out = digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  } else {
    out = digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
  }
  return (negative ? "-" : "") + out;
}

}  // namespace tessera::text::jinja
