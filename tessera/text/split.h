#pragma once
// Cutting a range of a text at the matches of a pattern.

#include <string_view>
#include <vector>

#include "tessera/text/aligned_text.h"
#include "tessera/text/pattern.h"
#include "tessera/text/tokenizer_spec.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

// A part of a text that is a match of a pattern or lies between two.
struct Part {
  ByteRange range;
  bool match = false;
};

// Appends the pieces of consecutive `parts` as `behavior` says; empty pieces are dropped.
void join_parts(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<ByteRange>& pieces);

// The parts of text[range): every character for which match(c) is true, and what lies between.
template <class Match>
void parts_of(std::string_view text, ByteRange range, Match match, std::vector<Part>& parts) {
  uint32_t begin = range.begin;
  for (size_t at = range.begin; at < range.end;) {
    const auto here = static_cast<uint32_t>(at);
    if (!match(next_char(text, at))) continue;
    if (begin < here) parts.push_back({{begin, here}, false});
    parts.push_back({{here, static_cast<uint32_t>(at)}, true});
    begin = static_cast<uint32_t>(at);
  }
  if (begin < range.end) parts.push_back({{begin, range.end}, false});
}

// The parts of text[range) by a pattern; `invert` swaps matches and what lies between.
void parts_of(std::string_view text, ByteRange range, const Matcher& matcher, bool invert, std::vector<Part>& parts);

}  // namespace tessera::text
