// Any bytes as a tokenizer.json, then, when they make a tokenizer, any bytes as its text. The input is the document, a zero byte, the text.
// Only Error may be thrown; ids of both ways of encoding must agree, offsets must lie in the text, decoding must give UTF-8.

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/unicode.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void exercise(const tessera::text::Tokenizer& tokenizer, std::string_view text) {
  const auto encoding = tokenizer.encode(text);
  check(tokenizer.encode_ids(text) == encoding.ids);
  check(encoding.pieces.size() == encoding.ids.size() && encoding.offsets.size() == encoding.ids.size());
  check(tessera::text::valid_utf8(tokenizer.decode(encoding.ids, false)));
  for (const bool pair : {false, true}) {
    const auto other =
        pair ? tokenizer.encode_pair(text, "b c") : tokenizer.encode(text, {.add_special_tokens = false, .parse_special_tokens = false});
    check(other.type_ids.size() == other.ids.size() && other.byte_offsets.size() == other.ids.size());
    check(tessera::text::valid_utf8(tokenizer.decode(other.ids)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t cut = bytes.find('\0');
  const std::string_view text = cut == std::string_view::npos ? "Hello w\u00f6rld  42" : bytes.substr(cut + 1);
  try {
    const auto tokenizer = tessera::text::Tokenizer::from_json(bytes.substr(0, cut), "fuzz");
    exercise(tokenizer, text);
  } catch (const tessera::Error&) {
    return 0;
  }
  return 0;
}
