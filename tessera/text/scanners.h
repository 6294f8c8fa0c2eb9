#pragma once
// Hand-written linear scanners for the patterns that most tokenizers split with.

#include <optional>
#include <string_view>
#include <vector>

#include "tessera/text/aligned_text.h"

namespace tessera::text {

// The family of a known pattern. All of them match every character of any text, so a text becomes its matches.
struct Scanner {
  enum class Style { gpt2, llama3 };
  Style style = Style::gpt2;
  int digits = 3;      // llama3: at most so many digits a piece (Llama 3: 3, Qwen2: 1)
  bool marks = false;  // llama3: combining marks count as letters (newer Qwen)
};

// The scanner of a pattern, recognised by its text.
std::optional<Scanner> known_scanner(std::string_view pattern);

// Splits text[begin, end) of valid UTF-8 and appends the pieces. Linear in its length.
void scan(const Scanner& scanner, std::string_view text, ByteRange range, std::vector<ByteRange>& pieces);

}  // namespace tessera::text
