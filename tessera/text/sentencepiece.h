#pragma once
// SentencePiece models: tokenizer.model files, and the same vocabulary inside GGUF.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/tokenizer.h"

namespace tessera::text {

enum class PieceType : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct SentencePiece {
  std::string text;
  double score = 0;  // BPE: the greater merges first; Unigram: natural log of the probability
  PieceType type = PieceType::normal;
};

// What a ModelProto says, as far as it decides ids. Defaults are SentencePiece's.
struct SentencePieceModel {
  std::string source = "tokenizer.model";
  std::vector<SentencePiece> pieces;  // by id
  bool bpe = false;                   // else Unigram
  bool byte_fallback = false;
  std::string charsmap;  // precompiled normalisation; empty: none
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  int64_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;  // -1: none
};

// Reads the protobuf by hand; every length is checked against the bytes left. Throws InputError naming `source`; never crashes.
SentencePieceModel parse_sentencepiece(std::string_view bytes, std::string source = "tokenizer.model");
// The same as steps of a tokenizer. BPE merges are every split of a piece into two pieces, greater scores first.
TokenizerSpec sentencepiece_spec(SentencePieceModel model);
// Lets the post-processor put the roles bos and eos, where the spec has them, around every text.
void add_bos_and_eos(TokenizerSpec& spec, bool bos, bool eos);
// A tokenizer.model file, with roles and chat template from the files beside it. No token is added to a text unless tokenizer_config.json
// says add_bos_token or add_eos_token. Throws InputError.
Tokenizer load_sentencepiece(const std::filesystem::path& path);

}  // namespace tessera::text
