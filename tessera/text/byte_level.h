#pragma once
// GPT-2's table between bytes and printable characters, in which byte-level vocabularies are written.

#include "tessera/text/aligned_text.h"

namespace tessera::text {

// The printable character that stands for a byte in byte-level vocabularies (GPT-2's table), and back: -1 for any other character.
char32_t byte_to_char(unsigned char byte);
int char_to_byte(char32_t c);
// Replaces every byte by its printable character.
void to_byte_level(AlignedText& text);

// The bytes that a piece in printable characters stands for; false, `out` unchanged, when it holds any other character.
bool from_byte_level(std::string_view piece, std::string& out);

}  // namespace tessera::text
