#pragma once
// Unigram vocabularies (Kudo 2018, arXiv 1804.10959): frequent substrings, weighted by EM, pruned by how much likelihood they carry.

#include "tessera/text/train_vocab.h"

namespace tessera::text {

struct UnigramOptions {
  VocabOptions vocab = {};
  int64_t longest_piece = 16;  // characters
  int64_t seeds = 1'000'000;   // pieces before the first pruning
  double keep = 0.75;          // of the pieces, at each pruning
  int64_t rounds = 2;          // of EM between prunings
};

// Deterministic. Special tokens first, then "<unk>" unless it is one of them, then pieces by probability. Single characters are never
// pruned. Throws InputError when `size` leaves no room for special tokens and characters.
TokenizerSpec train_unigram(const TextSource& next, const UnigramOptions& options);

}  // namespace tessera::text
