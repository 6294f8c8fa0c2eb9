#pragma once
// What the four kinds of model share: a word in, its tokens out.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

// A token and the bytes [begin, end) of the word that it covers.
struct WordToken {
  TokenId id = 0;
  uint32_t begin = 0, end = 0;
};

class VocabModel {
 public:
  virtual ~VocabModel() = default;
  // Appends the tokens of a word of valid UTF-8, not empty. Throws InputError when it cannot be said and there is no unknown token.
  // Any number of threads may call it.
  virtual void tokenize(std::string_view word, std::vector<WordToken>& out) const = 0;
  // True when an unknown token stands for the text it covers, not for its own piece.
  virtual bool unknown_keeps_text(TokenId) const { return false; }
  // True when no token ever holds a U+2581 after another character: words may be cut before it, which keeps them short.
  virtual bool starts_at_mark() const { return false; }
};

// How the words arrive at a BPE model.
enum class WordBytes { characters, raw };

// Builds the model of a spec, which has been checked; raw: words come as bytes and byte-level pieces are read accordingly.
std::unique_ptr<VocabModel> make_bpe(const TokenizerSpec& spec, WordBytes bytes);
std::unique_ptr<VocabModel> make_unigram(const TokenizerSpec& spec);
std::unique_ptr<VocabModel> make_wordpiece(const TokenizerSpec& spec);
std::unique_ptr<VocabModel> make_wordlevel(const TokenizerSpec& spec);
// True when every byte has a piece of its own, so that a BPE model may be fed bytes instead of printable characters.
bool covers_all_bytes(const TokenizerSpec& spec);

}  // namespace tessera::text
