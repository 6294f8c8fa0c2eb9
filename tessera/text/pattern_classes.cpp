#include "tessera/text/pattern_classes.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace tessera::text {

namespace {

constexpr char32_t code_points = 0x110000;
constexpr std::array<std::string_view, 30> category_names = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                                             "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
                                                             "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"};

const std::string& all_characters() {
  static const std::string all = [] {
    std::string text;
    text.reserve(4'400'000);
    for (char32_t c = 0; c < code_points; ++c) {
      if (c < 0xd800 || c > 0xdfff) append_utf8(text, c);
    }
    return text;
  }();
  return all;
}

// The code points that PCRE2 takes for members of a class.
std::vector<bool> members_by_pcre2(std::string_view spelling) {
  const std::string& all = all_characters();
  std::vector<bool> members(code_points);
  const std::string pattern = fmt::format("(?:{})+", spelling);
  int error = 0;
  size_t where = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK,
                                   &error, &where, nullptr);
  if (code == nullptr) return members;
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  for (size_t at = 0;
       pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(all.data()), all.size(), at, PCRE2_NO_UTF_CHECK, data, nullptr) >= 0;) {
    const size_t* bounds = pcre2_get_ovector_pointer(data);
    for (at = bounds[0]; at < bounds[1];) members[next_char(all, at)] = true;
  }
  pcre2_match_data_free(data);
  pcre2_code_free(code);
  return members;
}

std::string ranges_where(const std::function<bool(char32_t)>& member) {
  std::string out;
  for (char32_t c = 0; c < code_points; ++c) {
    if ((c >= 0xd800 && c <= 0xdfff) || !member(c)) continue;
    const char32_t begin = c;
    while (c + 1 < code_points && (c + 1 < 0xd800 || c + 1 > 0xdfff) && member(c + 1)) ++c;
    out += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(begin), static_cast<uint32_t>(c));
  }
  return out;
}

// Made once for every spelling: it looks at all code points.
std::string class_items(std::string_view spelling, bool negated, const std::function<bool(uint32_t)>& inside) {
  static std::map<std::string, std::string, std::less<>> made;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string key = fmt::format("{}{}", negated ? "^" : "", spelling);
  if (const auto it = made.find(key); it != made.end()) return it->second;
  const UnicodeTable& table = UnicodeTable::get();
  const auto ours = [&](char32_t c) { return inside(table.word(c)) != negated; };
  bool extends = !negated;  // PCRE2's class plus some ranges is ours
  std::vector<bool> theirs;
  if (extends) {
    theirs = members_by_pcre2(spelling);
    for (char32_t c = 0; c < code_points; ++c) extends = extends && (!theirs[c] || ours(c));
  }
  std::string items =
      extends ? std::string(spelling) + ranges_where([&](char32_t c) { return ours(c) && !theirs[c]; }) : ranges_where(ours);
  return made.emplace(key, std::move(items)).first->second;
}

}  // namespace

std::optional<std::string> category_items(std::string_view name, bool negated) {
  if (name.empty() || name.size() > 2) return std::nullopt;
  uint32_t wanted = 0;
  for (size_t i = 0; i < category_names.size(); ++i) {
    if (category_names[i].starts_with(name)) wanted |= 1u << i;
  }
  if (wanted == 0) return std::nullopt;
  return class_items(fmt::format("\\p{{{}}}", name), negated, [wanted](uint32_t word) { return (wanted >> (word & 31) & 1) != 0; });
}

std::string trait_items(Trait trait, std::string_view spelling, bool negated) {
  return class_items(spelling, negated, [trait](uint32_t word) { return has(word, trait); });
}

}  // namespace tessera::text
