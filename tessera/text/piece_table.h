#pragma once
// The flat tables behind the models: numbers to numbers, pieces to ids, and a trie of pieces.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

uint64_t hash_bytes(std::string_view bytes);

// 64-bit keys (not all ones) to 64-bit values, open addressing.
class NumberMap {
 public:
  explicit NumberMap(size_t expected = 0) { rehash(expected * 2); }
  static constexpr uint64_t missing = ~0ull;
  uint64_t find(uint64_t key) const {
    for (size_t i = mix(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].value;
      if (slots_[i].key == missing) return missing;
    }
  }
  void insert(uint64_t key, uint64_t value);  // a key given twice keeps its last value
  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t key = missing, value = missing;
  };
  static size_t mix(uint64_t key) {
    key *= 0x9e3779b97f4a7c15ull;
    return static_cast<size_t>(key ^ key >> 32);
  }
  void rehash(size_t wanted);
  std::vector<Slot> slots_;
  size_t mask_ = 0, size_ = 0;
};

// Pieces by text.
class PieceTable {
 public:
  explicit PieceTable(size_t expected = 0);
  // False when the piece is there already.
  bool insert(std::string_view piece, TokenId id);
  TokenId find(std::string_view piece) const {  // -1: not there
    const uint64_t hash = hash_bytes(piece);
    for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return -1;
      if (slot.hash == static_cast<uint32_t>(hash >> 32) && text(slot) == piece) return slot.id;
    }
  }
  size_t size() const { return size_; }

 private:
  struct Slot {
    uint32_t hash = 0, begin = 0, length = 0;
    TokenId id = -1;
  };
  std::string_view text(const Slot& slot) const { return std::string_view(arena_).substr(slot.begin, slot.length); }
  void rehash(size_t wanted);
  std::vector<Slot> slots_;
  std::string arena_;
  size_t mask_ = 0, size_ = 0;
};

// A trie over bytes. Node 0 is the root.
class PieceTrie {
 public:
  void insert(std::string_view piece, TokenId id);  // a piece given twice keeps its last id
  // The node after `byte`, or 0 when there is none.
  uint32_t step(uint32_t node, unsigned char byte) const {
    if (node == 0) return first_[byte];
    const uint64_t found = edges_.find(static_cast<uint64_t>(node) << 8 | byte);
    return found == NumberMap::missing ? 0 : static_cast<uint32_t>(found);
  }
  TokenId id(uint32_t node) const { return ids_[node]; }  // -1: no piece ends here
  uint32_t walk(std::string_view piece) const;            // the node after all its bytes, or 0

 private:
  std::vector<uint32_t> first_ = std::vector<uint32_t>(256, 0);
  NumberMap edges_;
  std::vector<TokenId> ids_{-1};
};

}  // namespace tessera::text
