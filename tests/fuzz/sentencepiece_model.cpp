// libFuzzer: the bytes of a tokenizer.model. Any bytes end in a tokenizer that encodes and decodes, or in one InputError.

#include <string_view>

#include "tessera/base/error.h"
#include "tessera/text/sentencepiece.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  try {
    const text::Tokenizer tokenizer(
        text::sentencepiece_spec(text::parse_sentencepiece(std::string_view(reinterpret_cast<const char*>(data), size))));
    tokenizer.decode(tokenizer.encode_ids(" Größe  a\u2581b 日本語 \U0001F600<s>"));
  } catch (const InputError&) {
  }
  return 0;
}
