#include "tessera/text/jinja_lexer.h"

#include <algorithm>
#include <charconv>

#include "tessera/base/error.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

using Kind = Token::Kind;

// Line ends become \n; one newline at the end goes (Jinja's keep_trailing_newline=False).
std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    add(Kind::end, "", at_);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(size_t where, std::string_view message) { throw InputError("{}: {}", to_string(position(where)), message); }

  // Positions are asked for in rising order; the walk goes on where the last one ended.
  Position position(size_t where) {
    if (where < seen_) seen_ = 0, here_ = {};
    while (seen_ < where && seen_ < source_.size()) {
      const bool newline = source_[seen_] == '\n';
      next_point(source_, seen_);
      if (newline) {
        ++here_.line, here_.column = 1;
      } else {
        ++here_.column;
      }
    }
    return here_;
  }

  void add(Kind kind, std::string text, size_t where) { tokens_.push_back({kind, std::move(text), position(where)}); }

  bool next_is(std::string_view text, size_t offset = 0) const {
    return std::string_view(source_).substr(std::min(at_ + offset, source_.size())).starts_with(text);
  }

  void skip_space() {
    while (at_ < source_.size()) {
      size_t next = at_;
      if (!is_space(next_point(source_, next))) return;
      at_ = next;
    }
  }

  // Text up to the next tag, then the tag.
  void read_data() {
    const size_t begin = at_;
    size_t tag = begin;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        add_data(begin, source_.size());
        at_ = source_.size();
        return;
      }
      const char kind = source_[tag + 1];
      if (kind == '{' || kind == '%' || kind == '#') break;
      ++tag;
    }
    at_ = tag + 2;
    const char kind = source_[tag + 1];
    const char sign = next_is("-") ? '-' : next_is("+") ? '+' : ' ';
    if (sign != ' ') ++at_;
    add_data(begin, kept_end(begin, tag, sign, kind == '{'));
    if (kind == '#') return read_comment(tag);
    if (kind == '{') return read_tag(Kind::variable_begin, Kind::variable_end, "}}", tag);
    if (read_raw(tag)) return;
    read_tag(Kind::block_begin, Kind::block_end, "%}", tag);
  }

  // Where the text before a tag ends once "-" or lstrip_blocks has taken its white space.
  size_t kept_end(size_t begin, size_t end, char sign, bool variable) const {
    const std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') return begin + strip(text, Side::right).size();
    if (sign == '+' || variable) return end;
    const size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_starting_) return end;
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    return strip(text.substr(line), Side::both).empty() ? begin + line : end;
  }

  void add_data(size_t begin, size_t end) {
    if (end > begin) add(Kind::data, source_.substr(begin, end - begin), begin);
  }

  // The end of a tag that starts at `at_`: "-%}" eats the white space behind it, "%}" one newline, "+%}" nothing.
  bool take_end(std::string_view close, bool trims) {
    size_t from = at_;
    if (next_is("-") && next_is(close, 1)) {
      at_ += 1 + close.size();
      skip_space();
    } else if (trims && next_is("+") && next_is(close, 1)) {
      at_ += 1 + close.size();
    } else if (next_is(close)) {
      at_ += close.size();
      if (trims && next_is("\n")) ++at_;
    } else {
      return false;
    }
    line_starting_ = source_[std::max(at_, from + 1) - 1] == '\n';
    return true;
  }

  void read_comment(size_t tag) {
    while (at_ < source_.size()) {
      if (take_end("#}", true)) return;
      ++at_;
    }
    fail(tag, "a comment has no end; close it with #}");
  }

  // {% raw %} ... {% endraw %}: the text between is data, tags and all.
  bool read_raw(size_t tag) {
    const size_t back = at_;
    skip_space();
    if (!next_is("raw")) return at_ = back, false;
    at_ += 3;
    skip_space();
    if (!(next_is("%}") || (next_is("-%}")))) return at_ = back, false;
    if (next_is("-")) {
      at_ += 3;
      skip_space();
    } else {
      at_ += 2;
    }
    line_starting_ = source_[at_ - 1] == '\n';
    const size_t begin = at_;
    for (size_t end = source_.find("{%", begin); end != std::string::npos; end = source_.find("{%", end + 2)) {
      at_ = end + 2;
      const char sign = next_is("-") ? '-' : next_is("+") ? '+' : ' ';
      if (sign != ' ') ++at_;
      skip_space();
      if (!next_is("endraw")) continue;
      at_ += 6;
      skip_space();
      const size_t kept = kept_end(begin, end, sign, false);
      if (!take_end("%}", true)) continue;
      add_data(begin, kept);
      return true;
    }
    fail(tag, "{% raw %} has no end; close it with {% endraw %}");
  }

  void read_tag(Kind open, Kind close_kind, std::string_view close, size_t tag) {
    add(open, "", tag);
    std::string brackets;  // the closing ones that are due
    while (at_ < source_.size()) {
      const size_t before = at_;
      skip_space();
      if (at_ >= source_.size()) break;
      if (brackets.empty() && take_end(close, close_kind == Kind::block_end)) return add(close_kind, "", before);
      const char c = source_[at_];
      if (c == '"' || c == '\'') {
        read_string();
      } else if (c >= '0' && c <= '9') {
        read_number();
      } else {
        size_t next = at_;
        if (is_word(next_point(source_, next))) {
          read_name();
        } else {
          read_operator(brackets);
        }
      }
    }
    fail(tag, close == "}}" ? "a {{ has no end; close it with }}" : "a {% has no end; close it with %}");
  }

  void read_name() {
    const size_t begin = at_;
    for (size_t next = at_; next < source_.size();) {
      if (!is_word(next_point(source_, next))) break;
      at_ = next;
    }
    add(Kind::name, source_.substr(begin, at_ - begin), begin);
  }

  size_t digits(size_t from, bool (*digit)(char)) const {
    while (from < source_.size() &&
           (digit(source_[from]) || (source_[from] == '_' && from + 1 < source_.size() && digit(source_[from + 1]))))
      ++from;
    return from;
  }

  void read_number() {
    const auto decimal = [](char c) { return c >= '0' && c <= '9'; };
    const auto any = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
    const size_t begin = at_;
    const char base = begin + 1 < source_.size() && source_[begin] == '0' ? static_cast<char>(source_[begin + 1] | 0x20) : ' ';
    Kind kind = Kind::integer;
    if ((base == 'x' || base == 'b' || base == 'o') && begin + 2 < source_.size() && any(source_[begin + 2])) {
      at_ = digits(begin + 2, any);
    } else {
      at_ = digits(begin, decimal);
      const bool after_dot = begin > 0 && source_[begin - 1] == '.';  // a.0.1: two subscripts, no number 0.1
      const auto is_digit = [&](size_t i) { return i < source_.size() && decimal(source_[i]); };
      if (!after_dot && next_is(".") && is_digit(at_ + 1)) at_ = digits(at_ + 1, decimal), kind = Kind::real;
      const size_t sign = next_is("+", 1) || next_is("-", 1) ? 1 : 0;
      if (!after_dot && (next_is("e") || next_is("E")) && is_digit(at_ + 1 + sign))
        at_ = digits(at_ + 1 + sign, decimal), kind = Kind::real;
    }
    std::string text = source_.substr(begin, at_ - begin);
    std::erase(text, '_');
    add(kind, std::move(text), begin);
  }

  void read_string() {
    const size_t begin = at_;
    const char quote = source_[at_++];
    std::string text;
    while (at_ < source_.size() && source_[at_] != quote) {
      if (source_[at_] == '\\') {
        read_escape(text);
      } else {
        text += source_[at_++];
      }
    }
    if (at_ >= source_.size()) fail(begin, "a string has no end; close it with the quote it began with");
    ++at_;
    add(Kind::string, std::move(text), begin);
  }

  // Python's escapes; an unknown one stays as it is, backslash and all.
  void read_escape(std::string& text) {
    const size_t begin = at_++;
    if (at_ >= source_.size()) return;
    const char c = source_[at_++];
    constexpr std::string_view from = "abfnrtv\\'\"", to = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t simple = from.find(c); simple != std::string_view::npos) {
      text += to[simple];
    } else if (c == '\n') {  // the line goes on
    } else if (c >= '0' && c <= '7') {
      uint32_t value = 0;
      for (--at_; at_ < source_.size() && at_ < begin + 4 && source_[at_] >= '0' && source_[at_] <= '7'; ++at_)
        value = value * 8 + static_cast<uint32_t>(source_[at_] - '0');
      append_point(text, value);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      uint32_t value = 0;
      const char* first = source_.data() + std::min(at_, source_.size());
      const char* last = source_.data() + std::min(at_ + count, source_.size());
      const auto read = std::from_chars(first, last, value, 16);
      if (read.ptr != first + count || value > 0x10FFFF)
        fail(begin, fmt::format("\\{} needs {} hexadecimal digits of a character", c, count));
      at_ += count;
      append_point(text, value);
    } else if (c == 'N') {
      fail(begin, "\\N{...} names are not supported; write \\u and the number");
    } else {
      text += '\\';
      --at_;
    }
  }

  void read_operator(std::string& brackets) {
    constexpr std::string_view two[] = {"//", "**", "==", "!=", ">=", "<="};
    for (const auto op : two) {
      if (!next_is(op)) continue;
      add(Kind::op, std::string(op), at_);
      at_ += 2;
      return;
    }
    const char c = source_[at_];
    constexpr std::string_view one = "+-/*%~[](){}><=.:|,;";
    if (one.find(c) == std::string_view::npos) {
      size_t next = at_;
      next_point(source_, next);
      fail(at_,
           fmt::format("unexpected character '{}' inside a tag; remove it", quoted(std::string_view(source_).substr(at_, next - at_))));
    }
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) fail(at_, fmt::format("unexpected '{}'; no bracket is open here", c));
      if (brackets.back() != c) fail(at_, fmt::format("unexpected '{}'; the open bracket is closed by '{}'", c, brackets.back()));
      brackets.pop_back();
    }
    add(Kind::op, std::string(1, c), at_);
    ++at_;
  }

  std::string source_;
  size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
  size_t seen_ = 0;
  Position here_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  require_utf8(source, "the chat template");
  return Lexer(with_plain_newlines(source)).run();
}

std::string to_string(Position at) { return fmt::format("line {}, column {}", at.line, at.column); }

}  // namespace tessera::text::jinja
