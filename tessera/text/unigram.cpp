// Unigram: the pieces whose probabilities multiply to the most (Kudo 2018, arXiv 1804.10959), found by Viterbi over the word's bytes.

#include <algorithm>
#include <array>
#include <limits>

#include "tessera/base/error.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/unicode.h"
#include "tessera/text/vocab_model.h"

namespace tessera::text {

namespace {

constexpr double unknown_penalty = 10.0;  // an unknown character costs so much more than the least likely piece

class UnigramModel final : public VocabModel {
 public:
  explicit UnigramModel(const TokenizerSpec& spec);
  void tokenize(std::string_view word, std::vector<WordToken>& out) const override;
  bool unknown_keeps_text(TokenId id) const override { return id == unk_; }

 private:
  struct Node {  // the best way to a place in the word
    double score = 0;
    uint32_t begin = 0;  // where its last piece starts
    TokenId id = 0;
    bool reached = false;
  };
  void best_path(std::string_view word, std::vector<Node>& nodes) const;
  void emit(std::string_view word, uint32_t begin, uint32_t end, std::vector<WordToken>& out) const;

  PieceTrie trie_;
  PieceTable pieces_;
  std::vector<double> scores_;  // by id
  std::array<TokenId, 256> byte_ids_;
  double unk_score_ = 0;
  TokenId unk_ = -1;
  bool byte_fallback_ = false;
  std::string source_;
};

UnigramModel::UnigramModel(const TokenizerSpec& spec)
    : pieces_(spec.vocab.size()), unk_(spec.unk_id.value_or(-1)), byte_fallback_(spec.byte_fallback), source_(spec.source) {
  double least = std::numeric_limits<double>::infinity();
  TokenId most = -1;
  for (const VocabEntry& entry : spec.vocab) most = std::max(most, entry.id);
  scores_.resize(static_cast<size_t>(most) + 1, 0);
  for (const VocabEntry& entry : spec.vocab) {
    pieces_.insert(entry.piece, entry.id);
    if (!entry.piece.empty()) trie_.insert(entry.piece, entry.id);
    scores_[static_cast<size_t>(entry.id)] = entry.score;
    least = std::min(least, entry.score);
  }
  unk_score_ = least - unknown_penalty;
  for (unsigned byte = 0; byte < 256; ++byte) byte_ids_[byte] = pieces_.find(fmt::format("<0x{:02X}>", byte));
}

void UnigramModel::best_path(std::string_view word, std::vector<Node>& nodes) const {
  const auto offer = [&](size_t end, size_t begin, double score, TokenId id) {
    Node& node = nodes[end];
    if (node.reached && score <= node.score) return;
    node = {score, static_cast<uint32_t>(begin), id, true};
  };
  for (size_t begin = 0; begin < word.size();) {
    const double here = nodes[begin].score;
    const size_t length = char_length(word[begin]);
    bool single = false;  // a piece covers exactly this character
    uint32_t trie_node = 0;
    for (size_t at = begin; at < word.size(); ++at) {
      trie_node = trie_.step(trie_node, static_cast<unsigned char>(word[at]));
      if (trie_node == 0) break;
      const TokenId id = trie_.id(trie_node);
      if (id < 0) continue;
      offer(at + 1, begin, here + scores_[static_cast<size_t>(id)], id);
      single |= at + 1 - begin == length;
    }
    if (!single) {
      if (unk_ < 0 && !nodes[begin + length].reached) {
        throw InputError("{}: \"{}\" is not in the vocabulary and the model names no unknown token; set unk_id", source_,
                         tessera::quoted(word.substr(begin, length)));
      }
      if (unk_ >= 0) offer(begin + length, begin, here + unk_score_, unk_);
    }
    begin += length;
  }
}

// A piece of the word by its text: runs of unknown characters may be a piece after all, or fall back to bytes.
void UnigramModel::emit(std::string_view word, uint32_t begin, uint32_t end, std::vector<WordToken>& out) const {
  const std::string_view text = word.substr(begin, end - begin);
  if (const TokenId id = pieces_.find(text); id >= 0) {
    out.push_back({id, begin, end});
    return;
  }
  const auto has_byte = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)] >= 0; };
  if (byte_fallback_ && std::all_of(text.begin(), text.end(), has_byte)) {
    for (const char c : text) out.push_back({byte_ids_[static_cast<unsigned char>(c)], begin, end});
    return;
  }
  out.push_back({unk_, begin, end});
}

void UnigramModel::tokenize(std::string_view word, std::vector<WordToken>& out) const {
  std::vector<Node> nodes(word.size() + 1);
  best_path(word, nodes);
  std::vector<std::pair<uint32_t, uint32_t>> path;  // last piece first, runs of unknown characters as one
  bool fusing = false;
  for (size_t end = word.size(); end > 0; end = nodes[end].begin) {
    const bool unknown = nodes[end].id == unk_;
    if (unknown && fusing) {
      path.back().first = nodes[end].begin;
    } else {
      path.emplace_back(nodes[end].begin, static_cast<uint32_t>(end));
    }
    fusing = unknown;
  }
  for (auto it = path.rbegin(); it != path.rend(); ++it) emit(word, it->first, it->second, out);
}

}  // namespace

std::unique_ptr<VocabModel> make_unigram(const TokenizerSpec& spec) { return std::make_unique<UnigramModel>(spec); }

}  // namespace tessera::text
