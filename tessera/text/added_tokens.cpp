#include "tessera/text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

bool alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is(char_at(text, previous_start(text, begin)), Trait::crate_word)) return false;
  return end == text.size() || !is(char_at(text, end), Trait::crate_word);
}

size_t space_start(std::string_view text, size_t at, size_t least) {
  while (at > least && is(char_at(text, previous_start(text, at)), Trait::crate_space)) at = previous_start(text, at);
  return std::max(at, least);
}

size_t space_end(std::string_view text, size_t at) {
  for (size_t next = at; next < text.size(); at = next) {
    if (!is(next_char(text, next), Trait::crate_space)) break;
  }
  return at;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized, const NormalizerChain& normalizer)
    : tokens_(&tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].normalized != normalized || tokens[i].content.empty()) continue;
    const std::string content = normalized ? normalizer.apply(tokens[i].content) : tokens[i].content;
    if (content.empty()) continue;
    trie_.insert(content, static_cast<TokenId>(i));
    const auto lead = static_cast<unsigned char>(content[0]);
    only_start_ = empty_ || only_start_ == lead ? lead : -1;
    starts_[lead] = true;
    empty_ = false;
  }
}

size_t AddedTokenFinder::next_start(std::string_view text, size_t at) const {
  if (only_start_ >= 0) {
    const void* found = at < text.size() ? std::memchr(text.data() + at, only_start_, text.size() - at) : nullptr;
    return found == nullptr ? text.size() : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  }
  while (at < text.size() && !starts_[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

void AddedTokenFinder::find(std::string_view text, SpecialTokens special, std::vector<AddedPart>& parts) const {
  size_t done = 0;  // where the text not yet in a part starts
  const auto push = [&](size_t begin, size_t end, int32_t token) {
    if (begin < end) parts.push_back({{static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}, token});
  };
  for (size_t at = empty_ ? text.size() : next_start(text, 0); at < text.size();) {
    uint32_t node = 0;
    TokenId found = -1;
    size_t end = at;
    for (size_t i = at; i < text.size(); ++i) {
      node = trie_.step(node, static_cast<unsigned char>(text[i]));
      if (node == 0) break;
      if (const TokenId id = trie_.id(node); id >= 0) {
        found = id;
        end = i + 1;
      }
    }
    if (found < 0) {
      at = next_start(text, at + 1);
      continue;
    }
    const size_t begin = at;
    at = next_start(text, end);
    const AddedToken& token = (*tokens_)[static_cast<size_t>(found)];
    if (special == SpecialTokens::as_text && token.special) continue;
    if (token.single_word && !alone(text, begin, end)) continue;
    const size_t from = token.lstrip ? space_start(text, begin, std::min(done, begin)) : begin;
    const size_t to = token.rstrip ? space_end(text, end) : end;
    push(done, std::max(from, done), -1);
    push(std::max(from, done), to, found);
    done = std::max(done, to);
  }
  push(done, text.size(), -1);
}

}  // namespace tessera::text
