// Byte pair encoding: the pair of neighbours with the lowest rank merges, the leftmost first, until no pair is in the list.

#include <algorithm>
#include <array>
#include <queue>

#include "tessera/base/error.h"
#include "tessera/text/byte_level.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/unicode.h"
#include "tessera/text/vocab_model.h"

namespace tessera::text {

namespace {

constexpr uint32_t no_rank = ~0u;
constexpr std::string_view word_mark = "\u2581";
constexpr size_t short_word = 48;  // symbols; longer words merge through a heap

class BpeModel final : public VocabModel {
 public:
  BpeModel(const TokenizerSpec& spec, WordBytes bytes);
  void tokenize(std::string_view word, std::vector<WordToken>& out) const override;
  bool starts_at_mark() const override { return starts_at_mark_; }

 private:
  void symbols_of(std::string_view word, std::vector<WordToken>& out) const;
  bool falls_back(std::string_view symbol) const;
  bool joins_before_mark(const TokenizerSpec& spec) const;
  void merge_short(std::vector<WordToken>& symbols, size_t first) const;
  void merge_long(std::vector<WordToken>& symbols, size_t first) const;
  // (rank << 32 | merged id) of two neighbours, or NumberMap::missing.
  uint64_t pair(TokenId left, TokenId right) const {
    return merges_.find(static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right));
  }

  PieceTable pieces_;
  NumberMap merges_;
  std::array<TokenId, 256> byte_ids_;  // raw: of the byte; else of <0xNN>; -1 where there is none
  std::string source_, prefix_, suffix_, unk_piece_;
  TokenId unk_ = -1;
  bool raw_ = false, has_unk_ = false, fuse_unk_ = false, byte_fallback_ = false, ignore_merges_ = false, starts_at_mark_ = false;
};

BpeModel::BpeModel(const TokenizerSpec& spec, WordBytes bytes)
    : pieces_(spec.vocab.size()),
      merges_(spec.merges.size()),
      source_(spec.source),
      prefix_(spec.continuing_subword_prefix),
      suffix_(spec.end_of_word_suffix),
      raw_(bytes == WordBytes::raw),
      fuse_unk_(spec.fuse_unk),
      byte_fallback_(spec.byte_fallback),
      ignore_merges_(spec.ignore_merges) {
  byte_ids_.fill(-1);
  std::string read;
  for (const VocabEntry& entry : spec.vocab) {
    if (spec.unk_token && entry.piece == *spec.unk_token) unk_ = entry.id;
    if (!raw_) {
      pieces_.insert(entry.piece, entry.id);
      continue;
    }
    read.clear();
    if (!from_byte_level(entry.piece, read)) continue;
    pieces_.insert(read, entry.id);
    if (read.size() == 1) byte_ids_[static_cast<unsigned char>(read[0])] = entry.id;
  }
  if (spec.unk_token) {
    has_unk_ = true;
    unk_piece_ = *spec.unk_token;
  }
  for (unsigned byte = 0; byte < 256 && !raw_; ++byte) byte_ids_[byte] = pieces_.find(fmt::format("<0x{:02X}>", byte));
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const Merge& merge = spec.merges[rank];
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(merge.left)) << 32 | static_cast<uint32_t>(merge.right);
    merges_.insert(key, static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(merge.merged));
  }
  const bool says_all = has_unk_ || (byte_fallback_ && falls_back(word_mark));
  starts_at_mark_ = !raw_ && !ignore_merges_ && prefix_.empty() && suffix_.empty() && says_all && pieces_.find(word_mark) >= 0 &&
                    !joins_before_mark(spec);
}

// True when some merge puts a character before a word mark other than another mark.
bool BpeModel::joins_before_mark(const TokenizerSpec& spec) const {
  TokenId most = 0;
  for (const VocabEntry& entry : spec.vocab) most = std::max(most, entry.id);
  std::vector<bool> starts(static_cast<size_t>(most) + 1), ends(starts.size());  // by id: with a mark
  for (const VocabEntry& entry : spec.vocab) {
    starts[static_cast<size_t>(entry.id)] = entry.piece.starts_with(word_mark);
    ends[static_cast<size_t>(entry.id)] = entry.piece.ends_with(word_mark);
  }
  return std::any_of(spec.merges.begin(), spec.merges.end(), [&](const Merge& merge) {
    return starts[static_cast<size_t>(merge.right)] && !ends[static_cast<size_t>(merge.left)];
  });
}

void BpeModel::tokenize(std::string_view word, std::vector<WordToken>& out) const {
  if (ignore_merges_) {
    if (const TokenId id = pieces_.find(word); id >= 0) {
      out.push_back({id, 0, static_cast<uint32_t>(word.size())});
      return;
    }
  }
  const size_t first = out.size();
  symbols_of(word, out);
  const size_t count = out.size() - first;
  if (count < 2) return;
  if (count <= short_word) {
    merge_short(out, first);
  } else {
    merge_long(out, first);
  }
}

// A token's bytes follow from the lengths of those before it: what the model leaves out moves the rest to the left, as in the reference.
void BpeModel::symbols_of(std::string_view word, std::vector<WordToken>& out) const {
  if (raw_) {
    for (uint32_t at = 0; at < word.size(); ++at) out.push_back({byte_ids_[static_cast<unsigned char>(word[at])], at, at + 1});
    return;
  }
  uint32_t covered = 0;
  const auto push = [&](TokenId id, uint32_t length) {
    out.push_back({id, covered, covered + length});
    covered += length;
  };
  uint32_t unknown = 0;  // bytes of an unknown token that may still grow
  std::string decorated;
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    at += char_length(word[at]);
    const auto length = static_cast<uint32_t>(at - begin);
    std::string_view symbol = word.substr(begin, length);
    if ((begin > 0 && !prefix_.empty()) || (at == word.size() && !suffix_.empty())) {
      decorated.assign(begin > 0 ? prefix_ : "").append(symbol);
      if (at == word.size()) decorated += suffix_;
      symbol = decorated;
    }
    if (const TokenId id = pieces_.find(symbol); id >= 0) {
      if (unknown > 0) push(unk_, unknown);
      unknown = 0;
      push(id, length);
    } else if (falls_back(symbol)) {
      for (const char c : symbol) push(byte_ids_[static_cast<unsigned char>(c)], 1);
    } else if (has_unk_) {
      if (unk_ < 0) {
        throw InputError("{}: \"{}\" is not in the vocabulary, nor is the unknown token \"{}\"; add it to the vocabulary", source_,
                         tessera::quoted(symbol), tessera::quoted(unk_piece_));
      }
      if (unknown > 0 && !fuse_unk_) {
        push(unk_, unknown);
        unknown = 0;
      }
      unknown += length;
    }
  }
  if (unknown > 0) push(unk_, unknown);
}

bool BpeModel::falls_back(std::string_view symbol) const {
  if (!byte_fallback_) return false;
  for (const char c : symbol) {
    if (byte_ids_[static_cast<unsigned char>(c)] < 0) return false;
  }
  return true;
}

void BpeModel::merge_short(std::vector<WordToken>& symbols, size_t first) const {
  std::array<uint32_t, short_word> ranks;
  std::array<TokenId, short_word> merged;
  size_t count = symbols.size() - first;
  WordToken* const s = symbols.data() + first;
  const auto look = [&](size_t i) {
    const uint64_t found = pair(s[i].id, s[i + 1].id);
    ranks[i] = static_cast<uint32_t>(found >> 32);
    merged[i] = static_cast<TokenId>(found);
  };
  for (size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == no_rank) break;
    s[best] = {merged[best], s[best].begin, s[best + 1].end};
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      s[i] = s[i + 1];
      ranks[i] = ranks[i + 1];
      merged[i] = merged[i + 1];
    }
    if (best > 0) look(best - 1);
    if (best + 1 < count) look(best);
  }
  symbols.resize(first + count);
}

void BpeModel::merge_long(std::vector<WordToken>& symbols, size_t first) const {
  const size_t count = symbols.size() - first;
  WordToken* const s = symbols.data() + first;
  constexpr uint32_t none = ~0u;
  std::vector<uint32_t> previous(count), next(count), ranks(count, no_rank);
  std::vector<uint64_t> start;
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i > 0 ? i - 1 : none;
    next[i] = i + 1 < count ? i + 1 : none;
    if (i + 1 == count) break;
    ranks[i] = static_cast<uint32_t>(pair(s[i].id, s[i + 1].id) >> 32);
    if (ranks[i] != no_rank) start.push_back(static_cast<uint64_t>(ranks[i]) << 32 | i);
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue(std::greater<>(), std::move(start));
  const auto look = [&](uint32_t i) {
    ranks[i] = next[i] == none ? no_rank : static_cast<uint32_t>(pair(s[i].id, s[next[i]].id) >> 32);
    if (ranks[i] != no_rank) queue.push(static_cast<uint64_t>(ranks[i]) << 32 | i);
  };
  while (!queue.empty()) {
    const uint64_t top = queue.top();
    queue.pop();
    const auto i = static_cast<uint32_t>(top);
    if (s[i].id < 0 || ranks[i] != static_cast<uint32_t>(top >> 32) || next[i] == none) continue;
    const uint32_t right = next[i];
    s[i] = {static_cast<TokenId>(pair(s[i].id, s[right].id)), s[i].begin, s[right].end};
    s[right].id = -1;
    next[i] = next[right];
    if (next[i] != none) previous[next[i]] = i;
    if (previous[i] != none) look(previous[i]);
    look(i);
  }
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (s[i].id >= 0) s[kept++] = s[i];
  }
  symbols.resize(first + kept);
}

}  // namespace

std::unique_ptr<VocabModel> make_bpe(const TokenizerSpec& spec, WordBytes bytes) { return std::make_unique<BpeModel>(spec, bytes); }

bool covers_all_bytes(const TokenizerSpec& spec) {
  std::array<bool, 256> seen{};
  for (const VocabEntry& entry : spec.vocab) {
    std::string read;
    if (entry.piece.size() <= 2 && from_byte_level(entry.piece, read) && read.size() == 1) seen[static_cast<unsigned char>(read[0])] = true;
  }
  for (const bool s : seen) {
    if (!s) return false;
  }
  return spec.continuing_subword_prefix.empty() && spec.end_of_word_suffix.empty();
}

}  // namespace tessera::text
