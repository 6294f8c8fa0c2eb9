#include "tessera/text/pattern_syntax.h"

#include <fmt/format.h>

#include <vector>

#include "tessera/base/error.h"
#include "tessera/text/pattern_classes.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

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
        return take(2, bracketed(trait_items(Trait::pattern_space, "\\s", false), in_class));
      case 'S':
        return take(2, bracketed(trait_items(Trait::pattern_space, "\\s", true), in_class));
      case 'w':
        return take(2, bracketed(trait_items(Trait::pattern_word, "\\w", false), in_class));
      case 'W':
        return take(2, bracketed(trait_items(Trait::pattern_word, "\\w", true), in_class));
      case 'd':
        return take(2, bracketed(*category_items("Nd", false), in_class));
      case 'D':
        return take(2, bracketed(*category_items("Nd", true), in_class));
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
    if (const auto ranges = category_items(name, negated)) return take(length, bracketed(*ranges, in_class));
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
