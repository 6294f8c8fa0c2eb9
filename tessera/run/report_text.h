#pragma once
// Text for reports: escaped HTML, a small Markdown, numbers as people read them.

#include <string>
#include <string_view>

#include "tessera/run/bootstrap.h"

namespace tessera::run {

// `text` with & < > " ' as entities; bytes that are not UTF-8 and control characters other than newline and tab become U+FFFD. Safe between
// tags and inside quoted attributes.
std::string escape_html(std::string_view text);
// JSON text for a <script> element: <, > and & become \u escapes, so no text can end the element.
std::string escape_script_json(std::string_view json);
// Paragraphs split by empty lines, lists of lines starting "- ", **bold**, *italic*, `code`, [text](https://address). Everything else is
// shown as it stands; other kinds of address are not linked.
std::string markdown_html(std::string_view markdown);
// The same marks without a surrounding paragraph.
std::string markdown_inline(std::string_view markdown);

// About four significant digits, a real minus sign, thousands separated: "0.4123", "−12.50", "45,100", "1.2×10⁻⁵"; "not a number", "∞".
std::string number_text(double value);
// True for a number that number_text writes with a power of ten: 1e7 and above, below 1e-4.
bool needs_power(double value);
// Always with a power of ten: "10⁶", "2×10⁻³"; 0 and what is not finite as number_text.
std::string power_of_ten_text(double value);
// With this many decimals, from 0 to 9.
std::string number_text(double value, int decimals);
// "0.412" and "[0.301, 0.523]" with the decimals the interval's width justifies: its second significant digit.
int decimals_for(double value, const Interval& interval);
std::string interval_text(const Interval& interval, int decimals);

}  // namespace tessera::run
