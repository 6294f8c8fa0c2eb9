#pragma once
// Byte pair encoding (Sennrich et al. 2016, arXiv 1508.07909): the most frequent pair of neighbours becomes one piece, again and again.

#include "tessera/text/train_vocab.h"

namespace tessera::text {

enum class BpeKind : uint8_t {
  byte_level,     // GPT-2: words of bytes; no text is unknown
  sentencepiece,  // Llama: words of characters behind U+2581; what is unknown falls back to <0xNN>
};

// Deterministic: of equally frequent pairs the one with the smaller ids merges first, as in Hugging Face's trainer.
// Throws InputError when `size` leaves no room for special tokens and the alphabet.
TokenizerSpec train_bpe(const TextSource& next, BpeKind kind, const VocabOptions& options);

}  // namespace tessera::text
