#pragma once
// Python's string functions on UTF-8, as chat templates call them. Positions and lengths count code points. All inputs are valid UTF-8.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::text::jinja {

// The code point at byte `at` (moved past it). Bytes that are no UTF-8 come back one by one as U+FFFD.
char32_t next_point(std::string_view text, size_t& at);
// Appends the UTF-8 of `point`; a surrogate or a value above 0x10FFFF becomes U+FFFD.
void append_point(std::string& out, char32_t point);
// Throws InputError naming `what` and the byte when `text` is not UTF-8.
void require_utf8(std::string_view text, std::string_view what);

bool is_space(char32_t point);  // str.isspace
bool is_word(char32_t point);   // \w of Python's re: letters, numbers, underscore

size_t length(std::string_view text);
// Byte offset of every code point and of the end: length(text) + 1 entries.
std::vector<size_t> point_offsets(std::string_view text);

enum class Side : uint8_t { left, right, both };
// str.strip: removes white space, or any of the code points in `set` when given.
std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> set = std::nullopt);
// str.split and str.rsplit without (white space) and with a separator (not empty); at most `limit` cuts when it is >= 0.
std::vector<std::string_view> split_space(std::string_view text, int64_t limit, bool from_right);
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t limit, bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);        // str.title: a word starts after anything that has no case
std::string title_words(std::string_view text);  // Jinja's title: a word starts after white space, - ( { [ <
std::string casefold(std::string_view text);

enum class Class : uint8_t { alpha, digit, decimal, numeric, alnum, space, upper, lower };
// str.isalpha and its relatives: false for an empty string.
bool all_are(std::string_view text, Class kind);

// str.replace: at most `limit` replacements when it is >= 0; an empty `from` inserts `to` around every code point.
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit);
// repr(str): quotes as Python chooses them, escapes for what is not printable.
std::string repr(std::string_view text);
// & < > ' " as HTML entities, as MarkupSafe writes them.
std::string escape_html(std::string_view text);
// repr(float): the shortest digits that read back to the same number.
std::string repr(double number);

}  // namespace tessera::text::jinja
