#pragma once
// SentencePiece's precompiled character map ("Precompiled" in tokenizer.json): a double-array trie from short strings to replacements.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/aligned_text.h"

namespace tessera::text {

class Charsmap {
 public:
  // `blob`: 4 bytes of the trie's size, the trie, the replacements, each ended by a zero byte; little endian. Empty: maps nothing.
  // Throws InputError naming `source` when the sizes contradict the blob.
  Charsmap(std::string_view blob, const std::string& source);
  // What the shortest prefix of `text` in the map becomes.
  std::optional<std::string_view> find(std::string_view text) const;
  void apply(AlignedText& text) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace tessera::text
