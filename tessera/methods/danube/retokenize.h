#pragma once
// Another vocabulary for a trained model (Danube2, arXiv 2401.16818v2: from Llama's tokenizer to Mistral's): a new piece that the old
// vocabulary knew keeps its rows of embedding and head.

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tessera/lm/model.h"
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

// The same model over the new vocabulary: every other weight is copied. `ids` replace the config's bos_token_id, eos_token_id and
// pad_token_id. New rows are N(0, the config's initializer_range).
struct RoleIds {
  std::optional<int64_t> bos, eos, pad;
};
lm::Transformer retokenized_model(const lm::Transformer& model, const std::vector<int64_t>& from, uint64_t seed, const RoleIds& ids);

}  // namespace tessera::danube
