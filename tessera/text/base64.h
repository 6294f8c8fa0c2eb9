#pragma once
// Base64 (RFC 4648), as tokenizer.json stores a character map.

#include <optional>
#include <string>
#include <string_view>

namespace tessera::text {

// The bytes; nothing when a character is outside the alphabet. Padding may be missing.
std::optional<std::string> from_base64(std::string_view text);
// With padding.
std::string to_base64(std::string_view bytes);

}  // namespace tessera::text
