#pragma once
// Another vocabulary for a trained model (Danube2, arXiv 2401.16818v2: from Llama's tokenizer to Mistral's): a new piece that the old
// vocabulary knew keeps its rows of embedding and head.

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tessera/text/tokenizer.h"

namespace tessera::danube {

// Every piece's text with U+2581 (SentencePiece) and U+0120 (byte-level BPE) at its beginning as the blank they stand for; empty for ids
// that have none. size: tokenizer.size().
std::vector<std::string> piece_texts(const text::Tokenizer& tokenizer);

// from[i]: the old id with the text of new piece i (the lowest, when several have it), -1 when there is none. Empty texts match nothing.
std::vector<int64_t> match_pieces(const std::vector<std::string>& old_texts, const std::vector<std::string>& new_texts);
double mapped_fraction(const std::vector<int64_t>& from);  // of all new pieces; 0 without any

// A table [V_old, D] of embedding or head for the new vocabulary: [V_new, D], row i a copy of row from[i], else N(0, std), which depends on
// seed, name and i alone. Throws InputError for a row that the table has not.
torch::Tensor retokenized(const torch::Tensor& table, const std::vector<int64_t>& from, double std, uint64_t seed, const std::string& name);

}  // namespace tessera::danube
