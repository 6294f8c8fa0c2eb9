#pragma once
// The vocabulary inside a GGUF file, by its tokenizer.ggml keys.

#include <filesystem>

#include "tessera/tensor/gguf.h"
#include "tessera/text/tokenizer.h"

namespace tessera::text {

// tokenizer.ggml.model: gpt2 (byte-level BPE; tokenizer.ggml.pre says how words are cut), llama (SentencePiece BPE), t5 (Unigram) or bert
// (WordPiece). Throws InputError for other models, for unknown names in tokenizer.ggml.pre and for contradicting lists.
TokenizerSpec gguf_vocab_spec(const tensor::GgufFile& file, const std::string& source);
Tokenizer load_gguf_vocab(const std::filesystem::path& path);

}  // namespace tessera::text
