#pragma once
// Rows of tokens from several corpora, mixed by weight: a stream that depends on the seed alone, whose position is a few numbers, and that
// goes on without a seam when the length of its rows changes.

#include <nlohmann/json_fwd.hpp>

#include "tessera/train/token_cache.h"

namespace tessera::train {

// L tokens and what follows each of them.
struct TokenRow {
  std::vector<int64_t> tokens;     // [L]
  std::vector<int64_t> targets;    // [L]: the next token; -1 where that begins another document, with `mask_documents`
  std::vector<int64_t> documents;  // [L]: numbers that rise by one where a document (or a piece of a long one) begins
};

// How documents fill rows. Padding has the token 0, no target and a document number of its own.
enum class Packing {
  concatenate,  // one after another without a gap: a row begins where the last one of its corpus ended
  whole,        // as many whole ones as fit, then padding; one longer than a row fills rows of its own
  single        // one a row, then padding
};

struct MixedTokensOptions {
  uint64_t seed = 0;
  int64_t piece = 4096;         // tokens; longer documents are cut into pieces that are shuffled on their own
  bool mask_documents = false;  // a document's last token has no target
  Packing packing = Packing::concatenate;
};

class MixedTokens {
 public:
  struct Corpus {
    std::string name;
    TokenCache cache;
  };
  // Throws InputError for a corpus without tokens.
  MixedTokens(std::vector<Corpus> corpora, const MixedTokensOptions& options);

  // The next row of `length` tokens. It comes from one corpus, drawn with the probabilities `weights` (one a corpus, >= 0, not all 0). Each
  // corpus is read in an order shuffled anew every epoch, row after row without a gap.
  TokenRow next(int64_t length, const std::vector<double>& weights);
  // Passes over one row without making it: what another rank takes.
  void skip(int64_t length, const std::vector<double>& weights);

  size_t corpora() const { return corpora_.size(); }
  const std::string& name(size_t corpus) const { return corpora_[corpus].name; }
  int64_t tokens(size_t corpus) const { return corpora_[corpus].cache.tokens(); }
  // Passes over the corpus so far, with the fraction of the present one.
  double epochs(size_t corpus) const;

  nlohmann::ordered_json position() const;
  // Throws InputError when the position is not one of these corpora.
  void seek(const nlohmann::ordered_json& position);

 private:
  struct Cursor {
    uint64_t epoch = 0;
    int64_t piece = 0, offset = 0;  // in the epoch's order; tokens read of that piece
  };
  struct Piece {
    int64_t begin, end;
  };
  size_t draw(const std::vector<double>& weights);
  const Piece& piece_at(size_t corpus) const;
  void advance(size_t corpus, int64_t tokens);
  bool fits(size_t corpus, int64_t taken, int64_t length) const;
  int64_t take(size_t corpus, int64_t most, TokenRow* row, int64_t document);

  std::vector<Corpus> corpora_;
  MixedTokensOptions options_;
  std::vector<std::vector<Piece>> pieces_;
  std::vector<Cursor> cursors_;
  uint64_t rows_ = 0;
};

}  // namespace tessera::train
