#include "tessera/text/split.h"

#include <algorithm>

namespace tessera::text {

void join_parts(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<ByteRange>& pieces) {
  const size_t first = pieces.size();
  bool previous = false;  // whether the part before was a match
  const auto visit = [&](const Part& part) {
    const bool merges = behavior == SplitBehavior::contiguous ? part.match == previous : part.match && !previous;
    const bool joins = behavior != SplitBehavior::isolated && behavior != SplitBehavior::removed && merges && pieces.size() > first;
    if (joins && behavior == SplitBehavior::merged_with_next) {
      pieces.back().begin = part.range.begin;
    } else if (joins) {
      pieces.back().end = part.range.end;
    } else if (behavior != SplitBehavior::removed || !part.match) {
      pieces.push_back(part.range);
    }
    previous = part.match;
  };
  if (behavior == SplitBehavior::merged_with_next) {
    std::for_each(parts.rbegin(), parts.rend(), visit);
    std::reverse(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end());
  } else {
    std::for_each(parts.begin(), parts.end(), visit);
  }
  pieces.erase(std::remove_if(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end(), [](ByteRange r) { return r.begin == r.end; }),
               pieces.end());
}

void parts_of(std::string_view text, ByteRange range, const Matcher& matcher, bool invert, std::vector<Part>& parts) {
  std::vector<ByteRange> matches;
  matcher.find_all(text, range, matches);
  uint32_t at = range.begin;
  for (const ByteRange& match : matches) {
    if (at != match.begin) parts.push_back({{at, match.begin}, invert});
    parts.push_back({match, !invert});
    at = match.end;
  }
  if (at != range.end) parts.push_back({{at, range.end}, invert});
}

}  // namespace tessera::text
