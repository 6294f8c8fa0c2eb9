#pragma once
// The machinery inside a Tokenizer.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/text/added_tokens.h"
#include "tessera/text/decode_steps.h"
#include "tessera/text/normalize.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/post_process.h"
#include "tessera/text/pre_tokenize.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/vocab_model.h"
#include "tessera/text/word_cache.h"

namespace tessera::text {

struct Tokenizer::Parts {
  explicit Parts(TokenizerSpec given);

  // The tokens of one text, before post-processing. `text` is valid UTF-8.
  void encode_ids(std::string_view text, SpecialTokens special, std::vector<TokenId>& out) const;
  Encoding encode(std::string_view text, SpecialTokens special, int32_t type_id) const;

  // What decoders see of a known token.
  std::string_view decoded(TokenId id) const;
  // Truncates, post-processes and pads one or two of them.
  Encoding finish(std::vector<Encoding> encodings, bool add_special_tokens) const;

  TokenizerSpec spec;
  NormalizerChain normalizer;
  PreTokenizerChain pre_tokenizer;
  std::unique_ptr<VocabModel> model;
  AddedTokenFinder plain, normalized;  // looked for before and after normalisation
  DecoderChain decoder;
  std::vector<std::string_view> pieces;                // by id, the spec's own texts; empty where there is none
  std::unordered_map<TokenId, std::string> rewritten;  // what decoders see where it is not the piece
  std::vector<bool> known, special, skipped;
  PieceTable ids;
  bool starts_at_mark = false;
  // What post-processing puts around one text, when that is all it does to the ids.
  bool simple_post = false;
  std::vector<TokenId> before, after;

 private:
  struct Scratch {  // what one encode() at a time works with
    WordCache cache;
    std::vector<AddedPart> parts, inner;
    std::vector<ByteRange> words;
    std::vector<WordToken> tokens;
  };
  class Borrowed;  // a Scratch from the pool, given back at the end
  class IdSink;
  class EncodingSink;

  void name_pieces();
  void learn_post_processing();
  template <class Sink>
  void run(std::string_view text, SpecialTokens special, Scratch& scratch, Sink& sink) const;
  template <class Sink>
  bool run_part(std::string_view text, ByteRange range, SpecialTokens special, Tracking tracking, Scratch& scratch, Sink& sink) const;
  template <class Sink>
  bool run_words(AlignedText& text, Scratch& scratch, Sink& sink) const;
  template <class Sink>
  void run_word(const AlignedText& text, ByteRange word, Scratch& scratch, Sink& sink) const;

  mutable std::mutex pool_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> pool_;
};

}  // namespace tessera::text
