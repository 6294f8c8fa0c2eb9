// Any bytes as a .gguf file that holds a vocabulary: a tokenizer that encodes and decodes, or one InputError.
#include <cstdint>
#include <cstdlib>

#include "tessera/base/error.h"
#include "tessera/text/gguf_vocab.h"
#include "tessera/text/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  try {
    const auto file = tensor::GgufFile::parse({std::as_bytes(std::span(data, size)), nullptr, "fuzz"});
    const text::Tokenizer tokenizer(text::gguf_vocab_spec(file, "fuzz"));
    const auto ids = tokenizer.encode_ids(" Größe  a\u2581b 日本語 \U0001F600<s>");
    if (!text::valid_utf8(tokenizer.decode(ids))) std::abort();
  } catch (const InputError&) {
  }
  return 0;
}
