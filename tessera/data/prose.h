#pragma once
// Bytes of unknown origin to clean UTF-8 prose: encoding, Unicode form, white space.

#include <string>
#include <string_view>

namespace tessera::data {

// True when `bytes` are valid UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view bytes);

// `bytes` as valid UTF-8. Valid input comes back as it is (less a byte order mark); UTF-16 with a byte order mark is converted; anything
// else is read as windows-1252, the superset of Latin-1 that old text files use. Never fails.
std::string to_utf8(std::string_view bytes);

// `text` in Unicode normal form C. `text` must be UTF-8 (see to_utf8).
std::string to_nfc(std::string_view text);

// Prose from loose text: UTF-8, NFC, '\n' line ends, tabs and runs of spaces as one space, no control characters, soft hyphens or
// zero-width spaces, no space before a line end, paragraphs separated by exactly one empty line, no empty line at either end and one '\n'
// at the end (an empty text stays empty). Applying it twice changes nothing.
std::string clean_prose(std::string_view text);

// Joins the wrapped lines of every paragraph (separated by empty lines) into one line, then cleans: man pages, policies and fortunes are
// wrapped at 72 columns. A line that starts with "-- " (an attribution), or with a bullet, starts a line of its own.
std::string unwrap_lines(std::string_view text);

}  // namespace tessera::data
