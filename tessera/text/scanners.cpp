#include "tessera/text/scanners.h"

#include <array>
#include <cstdint>
#include <utility>

#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

enum class Kind : uint8_t { other, letter, number, space, newline, end };  // newline: \r and \n, which are spaces too

struct KindTable {
  std::array<Kind, 128> ascii;
  KindTable() {
    for (char32_t c = 0; c < 128; ++c) ascii[c] = slow(c, false);
  }
  static Kind slow(char32_t c, bool marks) {
    const uint32_t word = unicode_word(c);
    if (c == '\r' || c == '\n') return Kind::newline;
    if (has(word, Trait::pattern_space)) return Kind::space;
    if (is_letter(word) || (marks && is_mark(word))) return Kind::letter;
    return is_number(word) ? Kind::number : Kind::other;
  }
};

const KindTable& kind_table() {
  static const KindTable table;
  return table;
}

bool spacelike(Kind kind) { return kind == Kind::space || kind == Kind::newline; }

// A place in the text and what stands there.
class Cursor {
 public:
  Cursor(std::string_view text, size_t end, bool marks) : text_(text), end_(end), marks_(marks), ascii_(kind_table().ascii.data()) {}
  size_t end() const { return end_; }
  char byte(size_t at) const { return at < end_ ? text_[at] : '\0'; }
  // The kind of the character at `at`, and where the next one starts.
  Kind kind(size_t at, size_t& next) const {
    if (at >= end_) {
      next = at;
      return Kind::end;
    }
    const auto lead = static_cast<unsigned char>(text_[at]);
    next = at + 1;
    if (lead < 0x80) return ascii_[lead];
    next = at;
    const char32_t c = next_char(text_, next);
    return KindTable::slow(c, marks_);
  }
  // Past the run of `kind` that goes on at `at`.
  size_t run(size_t at, Kind kind) const {
    for (;;) {
      while (at < end_ && static_cast<unsigned char>(text_[at]) < 0x80) {
        if (ascii_[static_cast<unsigned char>(text_[at])] != kind) return at;
        ++at;
      }
      size_t next = at;
      if (this->kind(at, next) != kind) return at;
      at = next;
    }
  }

 private:
  std::string_view text_;
  size_t end_;
  bool marks_;
  const Kind* ascii_;
};

// Bytes of 's 't 're 've 'm 'll 'd at the apostrophe at `at`, or 0.
size_t contraction(const Cursor& cursor, size_t at, bool any_case) {
  const auto letter = [&](size_t i) -> char {
    const char c = cursor.byte(at + i);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (any_case && first == '\xc5' && cursor.byte(at + 2) == '\xbf') return 3;  // the long s folds to s
  const char second = letter(2);
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) return 3;
  return 0;
}

// \s+(?!\S)|\s+ at a white space: the whole run when the text ends after it, else all but its last character, else that character.
size_t space_piece(const Cursor& cursor, size_t at, size_t* after_newline) {
  size_t next = at, before = at;
  size_t where = at;
  for (Kind kind = cursor.kind(at, next); spacelike(kind); kind = cursor.kind(where, next)) {
    if (kind == Kind::newline && after_newline != nullptr) *after_newline = next;
    before = where;
    where = next;
  }
  return where == cursor.end() || before == at ? where : before;
}

void scan_gpt2(const Cursor& cursor, size_t at, std::vector<ByteRange>& pieces) {
  while (at < cursor.end()) {
    const size_t begin = at;
    const auto emit = [&](size_t end) {
      pieces.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
      at = end;
    };
    if (cursor.byte(at) == '\'') {
      if (const size_t n = contraction(cursor, at, false)) {
        emit(at + n);
        continue;
      }
    }
    size_t next = at;
    Kind kind = cursor.kind(at, next);
    if (cursor.byte(at) == ' ') {
      size_t after = next;
      const Kind following = cursor.kind(next, after);
      if (following != Kind::end && !spacelike(following)) {
        kind = following;
        next = after;
      }
    }
    if (!spacelike(kind)) {
      emit(cursor.run(next, kind));
      continue;
    }
    emit(space_piece(cursor, at, nullptr));
  }
}

// The end of the piece of the Llama 3 family that starts with the character of `kind` at `at`; `next` is where the following one starts.
size_t llama3_piece(const Scanner& scanner, const Cursor& cursor, size_t at, Kind kind, size_t next) {
  if (kind == Kind::letter) return cursor.run(next, Kind::letter);
  size_t after = next;
  const Kind following = cursor.kind(next, after);
  if (kind == Kind::number) {
    size_t end = next;
    for (int n = 1; n < scanner.digits && cursor.kind(end, after) == Kind::number; ++n) end = after;
    return end;
  }
  if (kind != Kind::newline && following == Kind::letter) return cursor.run(after, Kind::letter);
  if (kind == Kind::other || (cursor.byte(at) == ' ' && following == Kind::other)) {
    size_t end = cursor.run(kind == Kind::other ? next : after, Kind::other);
    while (cursor.byte(end) == '\r' || cursor.byte(end) == '\n') ++end;
    return end;
  }
  size_t after_newline = 0;
  const size_t end = space_piece(cursor, at, &after_newline);
  return after_newline > 0 ? after_newline : end;
}

void scan_llama3(const Scanner& scanner, const Cursor& cursor, size_t at, std::vector<ByteRange>& pieces) {
  while (at < cursor.end()) {
    size_t end = at;
    if (cursor.byte(at) == '\'') end = at + contraction(cursor, at, true);
    if (end == at) {
      size_t next = at;
      const Kind kind = cursor.kind(at, next);
      end = llama3_piece(scanner, cursor, at, kind, next);
    }
    pieces.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(end)});
    at = end;
  }
}

constexpr std::string_view gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view llama3_head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?)";
constexpr std::string_view llama3_tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view marks_tail = R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace

std::optional<Scanner> known_scanner(std::string_view pattern) {
  if (pattern == gpt2_pattern) return Scanner{};
  if (!pattern.starts_with(llama3_head)) return std::nullopt;
  pattern.remove_prefix(llama3_head.size());
  const std::pair<std::string_view, int> digits[] = {{R"(\p{N}{1,3})", 3}, {R"(\p{N}{1,2})", 2}, {R"(\p{N})", 1}};
  for (const bool marks : {false, true}) {
    const std::string_view letters = marks ? R"([\p{L}\p{M}]+|)" : R"(\p{L}+|)";
    if (!pattern.starts_with(letters)) continue;
    const std::string_view rest = pattern.substr(letters.size());
    for (const auto& [number, most] : digits) {
      if (rest.starts_with(number) && rest.substr(number.size()) == (marks ? marks_tail : llama3_tail)) {
        return Scanner{Scanner::Style::llama3, most, marks};
      }
    }
  }
  return std::nullopt;
}

void scan(const Scanner& scanner, std::string_view text, ByteRange range, std::vector<ByteRange>& pieces) {
  const Cursor cursor(text, range.end, scanner.marks);
  if (scanner.style == Scanner::Style::gpt2) {
    scan_gpt2(cursor, range.begin, pieces);
  } else {
    scan_llama3(scanner, cursor, range.begin, pieces);
  }
}

}  // namespace tessera::text
