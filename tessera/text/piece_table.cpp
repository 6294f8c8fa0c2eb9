#include "tessera/text/piece_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <utility>

namespace tessera::text {

uint64_t hash_bytes(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

void NumberMap::rehash(size_t wanted) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(std::bit_ceil(wanted < 16 ? size_t{16} : wanted), Slot{});
  mask_ = slots_.size() - 1;
  size_ = 0;
  for (const Slot& slot : old) {
    if (slot.key != missing) insert(slot.key, slot.value);
  }
}

void NumberMap::insert(uint64_t key, uint64_t value) {
  if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
  size_t i = mix(key) & mask_;
  while (slots_[i].key != missing && slots_[i].key != key) i = (i + 1) & mask_;
  if (slots_[i].key == missing) ++size_;
  slots_[i] = {key, value};
}

PieceTable::PieceTable(size_t expected) { rehash(expected * 2); }

void PieceTable::rehash(size_t wanted) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(std::bit_ceil(wanted < 16 ? size_t{16} : wanted), Slot{});
  mask_ = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    size_t i = hash_bytes(text(slot)) & mask_;
    while (slots_[i].id >= 0) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
}

bool PieceTable::insert(std::string_view piece, TokenId id) {
  if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
  const uint64_t hash = hash_bytes(piece);
  const auto high = static_cast<uint32_t>(hash >> 32);
  size_t i = hash & mask_;
  for (; slots_[i].id >= 0; i = (i + 1) & mask_) {
    if (slots_[i].hash == high && text(slots_[i]) == piece) return false;
  }
  slots_[i] = {high, static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(piece.size()), id};
  arena_ += piece;
  ++size_;
  return true;
}

void PieceTrie::insert(std::string_view piece, TokenId id) {
  uint32_t node = 0;
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    uint32_t next = step(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(ids_.size());
      ids_.push_back(-1);
      if (node == 0) {
        first_[byte] = next;
      } else {
        edges_.insert(static_cast<uint64_t>(node) << 8 | byte, next);
      }
    }
    node = next;
  }
  ids_[node] = id;
}

uint32_t PieceTrie::walk(std::string_view piece) const {
  uint32_t node = 0;
  for (const char c : piece) {
    node = step(node, static_cast<unsigned char>(c));
    if (node == 0) return 0;
  }
  return node;
}

}  // namespace tessera::text
