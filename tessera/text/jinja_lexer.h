#pragma once
// A template's source as tokens, with Transformers' settings: trim_blocks, lstrip_blocks, one trailing newline dropped.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::text::jinja {

struct Position {
  int line = 1, column = 1;  // from 1; columns count code points
};

struct Token {
  enum class Kind : uint8_t { data, variable_begin, variable_end, block_begin, block_end, name, integer, real, string, op, end };
  Kind kind = Kind::end;
  std::string text;  // a string's or data's content; a number's digits without underscores; a name; an operator
  Position at;
  bool is(Kind wanted, std::string_view content) const { return kind == wanted && text == content; }
  bool is_op(std::string_view op) const { return is(Kind::op, op); }
  bool is_name(std::string_view name) const { return is(Kind::name, name); }
};

// Always ends with one Kind::end. Throws InputError with line and column on anything that is no token.
std::vector<Token> tokenize(std::string_view source);

// "line 3, column 7".
std::string to_string(Position at);

}  // namespace tessera::text::jinja
