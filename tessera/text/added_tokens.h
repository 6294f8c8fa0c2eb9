#pragma once
// Added tokens: found in the text before the model sees it.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/aligned_text.h"
#include "tessera/text/normalize.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

// A part of a text: an added token (its place in the spec's list), or the text between two (token -1).
struct AddedPart {
  ByteRange range;
  int32_t token = -1;
};

enum class SpecialTokens { parse, as_text };

// The added tokens of one kind, normalised or not.
class AddedTokenFinder {
 public:
  // Keeps the tokens whose `normalized` is as given; these are looked for in their normalised form.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized, const NormalizerChain& normalizer);
  bool empty() const { return empty_; }
  // Cuts valid UTF-8 into consecutive parts, the longest token at the leftmost place first; none is empty. as_text: special tokens are
  // ordinary text.
  void find(std::string_view text, SpecialTokens special, std::vector<AddedPart>& parts) const;

 private:
  size_t next_start(std::string_view text, size_t at) const;
  const std::vector<AddedToken>* tokens_;
  PieceTrie trie_;
  std::array<bool, 256> starts_{};
  int only_start_ = -1;  // the one byte that all tokens start with
  bool empty_ = true;
};

}  // namespace tessera::text
