#pragma once
// Remembers the tokens of words: text repeats its words, and a look-up is far cheaper than a model.

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/text/piece_table.h"
#include "tessera/text/vocab_model.h"

namespace tessera::text {

// For one thread at a time. Holds at most 8 MiB of words and tokens and starts again when full.
class WordCache {
 public:
  static constexpr size_t longest_word = 64;  // bytes; longer words are not kept

  struct Found {
    const WordToken* begin = nullptr;  // nullptr: not known
    uint32_t count = 0;
    std::span<const WordToken> tokens() const { return {begin, count}; }
  };
  // `hash` is hash_bytes(word). What is found is valid until the next insert().
  Found find(std::string_view word, uint64_t hash) const {
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
      const Entry& entry = entries_[i];
      if (entry.length == 0) return {};
      if (entry.tag == static_cast<uint32_t>(hash >> 32) && entry.length == word.size() &&
          std::memcmp(text_.data() + entry.text, word.data(), word.size()) == 0) {
        return {tokens_.data() + entry.tokens, entry.count};
      }
    }
  }
  void insert(std::string_view word, uint64_t hash, std::span<const WordToken> tokens) {
    if (used_ * 2 > mask || tokens_.size() + tokens.size() > most_tokens) clear();
    size_t i = hash & mask;
    while (entries_[i].length != 0) i = (i + 1) & mask;
    entries_[i] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(tokens_.size()),
                   static_cast<uint16_t>(word.size()), static_cast<uint16_t>(tokens.size())};
    text_.insert(text_.end(), word.begin(), word.end());
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    ++used_;
  }

 private:
  static constexpr size_t mask = (1u << 17) - 1, most_tokens = 1u << 18;
  struct Entry {
    uint32_t tag = 0, text = 0, tokens = 0;
    uint16_t length = 0, count = 0;  // length 0: empty
  };
  void clear() {
    entries_.assign(mask + 1, Entry{});
    text_.clear();
    tokens_.clear();
    used_ = 0;
  }
  std::vector<Entry> entries_ = std::vector<Entry>(mask + 1);
  std::vector<char> text_;
  std::vector<WordToken> tokens_;
  size_t used_ = 0;
};

}  // namespace tessera::text
