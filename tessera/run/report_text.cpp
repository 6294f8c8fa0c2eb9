#include "tessera/run/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera::run {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view kMinus = "\xe2\x88\x92";        // U+2212

// The length of the UTF-8 character at the start of `text`, 0 when there is none (overlong forms, surrogates and stray bytes included).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

std::string_view entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

bool linkable(std::string_view address) {
  if (address.rfind("https://", 0) != 0 && address.rfind("http://", 0) != 0) return false;
  return address.find_first_of(" \t\r\n\"'<>\\") == std::string_view::npos;
}

// One mark at the start of `text` that opens and closes there: its HTML, and how many bytes it takes; 0 when there is none.
size_t marked_piece(std::string_view text, std::string& html) {
  const auto between = [&](std::string_view mark, std::string_view tag) -> size_t {
    const size_t close = text.find(mark, mark.size());
    if (text.rfind(mark, 0) != 0 || close == std::string_view::npos || close == mark.size()) return 0;
    const std::string_view inner = text.substr(mark.size(), close - mark.size());
    if (inner.front() == ' ' || inner.back() == ' ') return 0;  // 2 * 3 * 4 is no emphasis
    html += fmt::format("<{0}>{1}</{0}>", tag, tag == "code" ? escape_html(inner) : markdown_inline(inner));
    return close + mark.size();
  };
  if (text[0] == '`') return between("`", "code");
  if (text.rfind("**", 0) == 0) return between("**", "strong");
  if (text[0] == '*') return between("*", "em");
  if (text[0] != '[') return 0;
  const size_t middle = text.find("]("), end = middle == std::string_view::npos ? middle : text.find(')', middle);
  if (end == std::string_view::npos || middle == 1) return 0;
  const std::string_view address = text.substr(middle + 2, end - middle - 2);
  if (!linkable(address)) return 0;
  html += fmt::format("<a href=\"{}\" rel=\"noreferrer\">{}</a>", escape_html(address), escape_html(text.substr(1, middle - 1)));
  return end + 1;
}

std::string block_html(std::string_view block) {
  if (block.rfind("- ", 0) != 0) return "<p>" + markdown_inline(block) + "</p>\n";
  std::string html = "<ul>";
  while (!block.empty()) {
    const size_t next = block.find("\n- ");
    html += "<li>" + markdown_inline(block.substr(2, next == std::string_view::npos ? next : next - 2)) + "</li>";
    block = next == std::string_view::npos ? std::string_view{} : block.substr(next + 1);
  }
  return html + "</ul>\n";
}

std::string with_thousands(std::string digits) {
  const size_t point = std::min(digits.find('.'), digits.size());
  if (point < 5) return digits;
  for (auto at = static_cast<std::ptrdiff_t>(point) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string superscript(int exponent) {
  constexpr const char* digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = exponent < 0 ? "⁻" : "";
  for (const char c : std::to_string(std::abs(exponent))) text += digits[c - '0'];
  return text;
}

std::string power_text(double magnitude) {
  const int exponent = static_cast<int>(std::floor(std::log10(magnitude) + 1e-12));
  return fmt::format("{:.3g}×10{}", magnitude / std::pow(10.0, exponent), superscript(exponent));
}

std::string unsigned_text(double magnitude) {
  if (needs_power(magnitude)) {
    return power_text(magnitude);
  }
  if (magnitude == std::floor(magnitude)) return with_thousands(fmt::format("{:.0f}", magnitude));
  const int whole_digits = magnitude < 1 ? 0 : static_cast<int>(std::floor(std::log10(magnitude))) + 1;
  const int decimals = magnitude < 0.1 ? 5 : std::max(0, 4 - whole_digits);
  return with_thousands(fmt::format("{:.{}f}", magnitude, decimals));
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string html;
  html.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length == 0 || byte == 0x7f || (byte < 0x20 && byte != '\n' && byte != '\t')) {
      html += kReplacement;
    } else if (const std::string_view replaced = entity(text[0]); !replaced.empty()) {
      html += replaced;
    } else {
      html += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return html;
}

std::string escape_script_json(std::string_view json) {
  std::string text;
  for (const char c : json) {
    if (c == '<' || c == '>' || c == '&')
      text += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      text += c;
  }
  return text;
}

std::string markdown_inline(std::string_view markdown) {
  std::string html;
  size_t plain = 0, at = 0;
  while (at < markdown.size()) {
    std::string piece;
    const char c = markdown[at];
    const size_t taken = c == '*' || c == '`' || c == '[' ? marked_piece(markdown.substr(at), piece) : 0;
    if (taken == 0) {
      ++at;
      continue;
    }
    html += escape_html(markdown.substr(plain, at - plain)) + piece;
    at += taken;
    plain = at;
  }
  return html + escape_html(markdown.substr(plain));
}

std::string markdown_html(std::string_view markdown) {
  std::string html;
  std::vector<std::string> blocks(1);
  while (!markdown.empty()) {
    const size_t end = std::min(markdown.find('\n'), markdown.size());
    const std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    const bool empty = line.find_first_not_of(" \t\r") == std::string_view::npos;
    const bool list_begins = line.rfind("- ", 0) == 0 && blocks.back().rfind("- ", 0) != 0;
    if (empty || list_begins) blocks.emplace_back();
    if (!empty) blocks.back() += (blocks.back().empty() ? "" : "\n") + std::string(line);
  }
  for (const std::string& block : blocks)
    if (!block.empty()) html += block_html(block);
  return html;
}

bool needs_power(double value) { return std::abs(value) >= 1e7 || (value != 0 && std::abs(value) < 1e-4); }

std::string power_of_ten_text(double value) {
  if (value == 0 || !std::isfinite(value)) return number_text(value);
  const std::string text = power_text(std::abs(value));
  return std::string(value < 0 ? kMinus : "") + (text.rfind("1×", 0) == 0 ? text.substr(3) : text);  // × has two bytes
}

std::string number_text(double value) {
  if (std::isnan(value)) return "not a number";
  const std::string sign(value < 0 ? kMinus : "");
  if (std::isinf(value)) return sign + "∞";
  return value == 0 ? "0" : sign + unsigned_text(std::abs(value));
}

std::string number_text(double value, int decimals) {
  if (!std::isfinite(value)) return number_text(value);
  const std::string digits = fmt::format("{:.{}f}", std::abs(value), std::clamp(decimals, 0, 9));
  const bool zero = digits.find_first_not_of("0.") == std::string::npos;
  return std::string(value < 0 && !zero ? kMinus : "") + with_thousands(digits);
}

int decimals_for(double value, const Interval& interval) {
  double width = interval.high - interval.low;
  if (!std::isfinite(width) || width <= 0) width = std::abs(value) / 100;
  if (!std::isfinite(width) || width <= 0) return 2;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(width))), 0, 6);
}

std::string interval_text(const Interval& interval, int decimals) {
  return fmt::format("[{}, {}]", number_text(interval.low, decimals), number_text(interval.high, decimals));
}

}  // namespace tessera::run
