#include "tessera/text/byte_level.h"

#include <array>

#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

bool printable_itself(unsigned byte) { return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae; }

struct ByteLevelTable {
  std::array<char32_t, 256> to_char;
  std::array<int16_t, 0x144> to_byte;
  ByteLevelTable() {
    to_byte.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      to_char[byte] = printable_itself(byte) ? byte : next++;
      to_byte[to_char[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const ByteLevelTable& byte_level_table() {
  static const ByteLevelTable table;
  return table;
}

}  // namespace

char32_t byte_to_char(unsigned char byte) { return byte_level_table().to_char[byte]; }

int char_to_byte(char32_t c) {
  const auto& table = byte_level_table().to_byte;
  return c < table.size() ? table[c] : -1;
}

void to_byte_level(AlignedText& text) {
  AlignedText::Draft draft(text);
  std::string bytes;
  for (size_t at = 0; at < text.text().size(); ++at) {
    bytes.clear();
    append_utf8(bytes, byte_to_char(static_cast<unsigned char>(text.text()[at])));
    draft.put(bytes, at);
  }
  text.adopt(std::move(draft));
}

bool from_byte_level(std::string_view piece, std::string& out) {
  const size_t before = out.size();
  for (size_t at = 0; at < piece.size();) {
    const int byte = char_to_byte(next_char(piece, at));
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out += static_cast<char>(byte);
  }
  return true;
}

}  // namespace tessera::text
