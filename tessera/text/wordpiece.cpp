// WordPiece (the longest piece that fits, again and again; a word that cannot be finished is unknown) and WordLevel (a word is a piece).

#include "tessera/base/error.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/unicode.h"
#include "tessera/text/vocab_model.h"

namespace tessera::text {

namespace {

class WordPieceModel final : public VocabModel {
 public:
  explicit WordPieceModel(const TokenizerSpec& spec);
  void tokenize(std::string_view word, std::vector<WordToken>& out) const override;

 private:
  void unknown(std::string_view word, std::vector<WordToken>& out) const;
  PieceTrie trie_;
  uint32_t inside_ = 0;  // the trie's node after the prefix of pieces inside a word
  bool has_inside_ = false;
  TokenId unk_ = -1;
  int64_t longest_ = 100;  // characters
  std::string source_, unk_piece_;
};

WordPieceModel::WordPieceModel(const TokenizerSpec& spec)
    : longest_(spec.max_input_chars_per_word), source_(spec.source), unk_piece_(spec.unk_token.value_or("[UNK]")) {
  for (const VocabEntry& entry : spec.vocab) {
    if (entry.piece == unk_piece_) unk_ = entry.id;
    if (!entry.piece.empty()) trie_.insert(entry.piece, entry.id);
  }
  inside_ = trie_.walk(spec.continuing_subword_prefix);
  has_inside_ = inside_ != 0 || spec.continuing_subword_prefix.empty();
}

void WordPieceModel::unknown(std::string_view word, std::vector<WordToken>& out) const {
  if (unk_ < 0) {
    throw InputError("{}: \"{}\" cannot be said and the unknown token \"{}\" is not in the vocabulary; add it", source_,
                     tessera::quoted(word), tessera::quoted(unk_piece_));
  }
  out.push_back({unk_, 0, static_cast<uint32_t>(word.size())});
}

void WordPieceModel::tokenize(std::string_view word, std::vector<WordToken>& out) const {
  if (static_cast<int64_t>(count_chars(word)) > longest_) return unknown(word, out);
  const size_t first = out.size();
  for (size_t begin = 0; begin < word.size();) {
    size_t end = begin;
    TokenId found = -1;
    uint32_t node = begin > 0 ? inside_ : 0;
    for (size_t at = begin; at < word.size() && (begin == 0 || has_inside_); ++at) {
      node = trie_.step(node, static_cast<unsigned char>(word[at]));
      if (node == 0) break;
      if (const TokenId id = trie_.id(node); id >= 0) {
        found = id;
        end = at + 1;
      }
    }
    if (found < 0) {
      out.resize(first);
      return unknown(word, out);
    }
    out.push_back({found, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    begin = end;
  }
}

class WordLevelModel final : public VocabModel {
 public:
  explicit WordLevelModel(const TokenizerSpec& spec)
      : pieces_(spec.vocab.size()), source_(spec.source), unk_piece_(spec.unk_token.value_or("<unk>")) {
    for (const VocabEntry& entry : spec.vocab) pieces_.insert(entry.piece, entry.id);
  }
  void tokenize(std::string_view word, std::vector<WordToken>& out) const override {
    TokenId id = pieces_.find(word);
    if (id < 0) id = pieces_.find(unk_piece_);
    if (id < 0) {
      throw InputError("{}: \"{}\" is not in the vocabulary, nor is the unknown token \"{}\"; add it", source_, tessera::quoted(word),
                       tessera::quoted(unk_piece_));
    }
    out.push_back({id, 0, static_cast<uint32_t>(word.size())});
  }

 private:
  PieceTable pieces_;
  std::string source_, unk_piece_;
};

}  // namespace

std::unique_ptr<VocabModel> make_wordpiece(const TokenizerSpec& spec) { return std::make_unique<WordPieceModel>(spec); }
std::unique_ptr<VocabModel> make_wordlevel(const TokenizerSpec& spec) { return std::make_unique<WordLevelModel>(spec); }

}  // namespace tessera::text
