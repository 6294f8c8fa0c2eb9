#include "tessera/text/pattern_syntax.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

// Ranges for the inside of a character class, of the characters for which inside() says yes (or no, when negated).
std::string class_ranges(const std::function<bool(uint32_t)>& inside, bool negated) {
  std::string out;
  const UnicodeTable& table = UnicodeTable::get();
  for (char32_t c = 0; c < 0x110000;) {
    const auto member = [&](char32_t x) { return (x < 0xd800 || x > 0xdfff) && inside(table.word(x)) != negated; };
    if (!member(c)) {
      ++c;
      continue;
    }
    const char32_t begin = c;
    while (c < 0x110000 && member(c)) ++c;
    out += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(begin), static_cast<uint32_t>(c - 1));
  }
  return out;
}

constexpr std::array<std::string_view, 30> category_names = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                                             "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
                                                             "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};

// The ranges of \p{name}; nothing when the name is not a general category (a script, say: PCRE2 knows those).
std::optional<std::string> property_ranges(std::string_view name, bool negated) {
  static std::map<std::string, std::string, std::less<>> made;
  static std::mutex mutex;
  if (name.empty() || name.size() > 2) return std::nullopt;
  uint32_t wanted = 0;
  for (size_t i = 0; i < category_names.size(); ++i) {
    if (category_names[i].starts_with(name)) wanted |= 1u << i;
  }
  if (wanted == 0) return std::nullopt;
  const std::lock_guard lock(mutex);
  const std::string key = fmt::format("{}{}", negated ? "^" : "", name);
  auto it = made.find(key);
  if (it == made.end())
    it = made.emplace(key, class_ranges([wanted](uint32_t word) { return (wanted >> (word & 31) & 1) != 0; }, negated)).first;
  return it->second;
}

std::string trait_ranges(Trait trait, bool negated) {
  return class_ranges([trait](uint32_t word) { return has(word, trait); }, negated);
}

// One escape sequence, read at its backslash.
class Escape {
 public:
  Escape(std::string_view pattern, size_t at) : pattern_(pattern), at_(at) {}
  // Its translation, with or without brackets; moves past it.
  std::string translate(bool in_class) {
    const char letter = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    switch (letter) {
      case 'p':
      case 'P':
        return property(letter == 'P', in_class);
      case 's':
        return take(2, bracketed(trait_ranges(Trait::pattern_space, false), in_class));
      case 'S':
        return take(2, bracketed(trait_ranges(Trait::pattern_space, true), in_class));
      case 'w':
        return take(2, bracketed(trait_ranges(Trait::pattern_word, false), in_class));
      case 'W':
        return take(2, bracketed(trait_ranges(Trait::pattern_word, true), in_class));
      case 'd':
        return take(2, bracketed(*property_ranges("Nd", false), in_class));
      case 'D':
        return take(2, bracketed(*property_ranges("Nd", true), in_class));
      case 'h':
        return take(2, bracketed("0-9A-Fa-f", in_class));
      case 'u':
        if (at_ + 6 <= pattern_.size()) return take(6, fmt::format("\\x{{{}}}", pattern_.substr(at_ + 2, 4)));
        break;
      default:
        break;
    }
    const size_t length = at_ + 1 < pattern_.size() ? 1 + char_length(pattern_[at_ + 1]) : 1;
    return take(length, std::string(pattern_.substr(at_, length)));
  }
  size_t at() const { return at_; }

 private:
  static std::string bracketed(const std::string& ranges, bool in_class) { return in_class ? ranges : "[" + ranges + "]"; }
  std::string take(size_t length, std::string translation) {
    at_ += length;
    return translation;
  }
  std::string property(bool negated, bool in_class) {
    const size_t close = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string_view::npos)
      return take(2, std::string(pattern_.substr(at_, 2)));
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    const size_t length = close + 1 - at_;
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    if (const auto ranges = property_ranges(name, negated)) return take(length, bracketed(*ranges, in_class));
    return take(length, std::string(pattern_.substr(at_, length)));
  }
  std::string_view pattern_;
  size_t at_;
};

// Past {n}, {n,}, {,m} or {n,m} at `at`, or `at` itself when it is not one.
size_t interval_end(std::string_view pattern, size_t at) {
  const size_t close = pattern.find('}', at);
  if (close == std::string_view::npos || close == at + 1) return at;
  return pattern.substr(at + 1, close - at - 1).find_first_not_of("0123456789,") == std::string_view::npos ? close + 1 : at;
}

}  // namespace

std::string to_pcre2(std::string_view pattern) {
  std::string out;
  std::vector<size_t> groups;  // where in `out` the open groups start
  size_t atom = 0;             // where the last atom starts
  bool in_class = false;
  for (size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    if (c == '\\') {
      if (!in_class) atom = out.size();
      Escape escape(pattern, at);
      out += escape.translate(in_class);
      at = escape.at();
      continue;
    }
    if (in_class) {
      if ((c == '[' && pattern.substr(at, 2) != "[:") || pattern.substr(at, 2) == "&&") {
        throw InputError("the pattern \"{}\" nests or intersects character classes; write them as one class", tessera::quoted(pattern));
      }
      const size_t end = c == '[' ? pattern.find(":]", at) : at;
      const size_t length = c == '[' && end != std::string_view::npos ? end + 2 - at : 1;
      if (c == ']') in_class = false;
      out += pattern.substr(at, length);
      at += length;
      continue;
    }
    if (const size_t end = c == '{' ? interval_end(pattern, at) : at; end > at) {
      out += pattern.substr(at, end - at);
      at = end;
      if (at < pattern.size() && pattern[at] == '+') {
        out.insert(atom, "(?:");
        out += ')';
      }
      continue;
    }
    if (c == '(') {
      groups.push_back(out.size());
    } else if (c == ')' && !groups.empty()) {
      atom = groups.back();
      groups.pop_back();
    } else if (std::string_view("*+?|").find(c) == std::string_view::npos) {
      atom = out.size();
    }
    out += c;
    if (c == '[') {
      in_class = true;
      for (++at; at < pattern.size() && (pattern[at] == '^' || (pattern[at] == ']' && out.back() != ']')); ++at) out += pattern[at];
      continue;
    }
    ++at;
  }
  return out;
}

}  // namespace tessera::text
