#include "tessera/text/unicode_normal.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

constexpr char32_t hangul_s = 0xac00, hangul_l = 0x1100, hangul_v = 0x1161, hangul_t = 0x11a7;
constexpr char32_t l_count = 19, v_count = 21, t_count = 28;

using Decomposed = std::array<utf8proc_int32_t, 32>;

// Characters newer than the oracle's tables have no decomposition and class 0, whatever utf8proc says of them.
size_t decompose_char(char32_t c, Decomposition kind, Decomposed& out) {
  if (is(c, Trait::nfkd_inert)) {
    out[0] = static_cast<utf8proc_int32_t>(c);
    return 1;
  }
  int boundary = 0;
  const int options = UTF8PROC_DECOMPOSE | (kind == Decomposition::compatible ? UTF8PROC_COMPAT : 0);
  const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), out.data(), static_cast<utf8proc_ssize_t>(out.size()),
                                         static_cast<utf8proc_option_t>(options), &boundary);
  return n < 1 ? 1 : static_cast<size_t>(n);
}

int combining_class(char32_t c) {
  return is(c, Trait::reordered) ? utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class : 0;
}

// The primary composites, from the decompositions read backwards.
class Composites {
 public:
  static const Composites& get() {
    static const Composites composites;
    return composites;
  }
  char32_t find(char32_t first, char32_t second) const {  // 0: the two do not compose
    if (first - hangul_l < l_count && second - hangul_v < v_count) {
      return hangul_s + ((first - hangul_l) * v_count + (second - hangul_v)) * t_count;
    }
    const char32_t s = first - hangul_s;
    if (s < l_count * v_count * t_count && s % t_count == 0 && second > hangul_t && second - hangul_t < t_count) {
      return first + (second - hangul_t);
    }
    const auto it = pairs_.find(static_cast<uint64_t>(first) << 32 | second);
    return it == pairs_.end() ? 0 : it->second;
  }
  bool second(char32_t c) const { return (c >= hangul_v && c < hangul_t + t_count) || seconds_.count(c) > 0; }

 private:
  Composites() {
    std::vector<std::pair<std::u32string, char32_t>> all;
    for (char32_t c = 0xa0; c < 0x30000; ++c) {
      if (c == hangul_s) c = 0xd7a4;
      Decomposed parts;
      if (is(c, Trait::nfkd_inert) || utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->comp_exclusion) continue;
      const size_t n = decompose_char(c, Decomposition::canonical, parts);
      if (n >= 2) all.emplace_back(std::u32string(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(n)), c);
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); });
    std::unordered_map<std::string_view, char32_t> whole;  // decomposition, as bytes -> its composite
    const auto bytes = [](const std::u32string& s, size_t n) { return std::string_view(reinterpret_cast<const char*>(s.data()), n * 4); };
    for (const auto& [parts, c] : all) {
      char32_t first = parts[0];
      if (parts.size() > 2) {
        const auto it = whole.find(bytes(parts, parts.size() - 1));
        if (it == whole.end()) continue;
        first = it->second;
      }
      pairs_.emplace(static_cast<uint64_t>(first) << 32 | parts.back(), c);
      seconds_.insert(parts.back());
      whole.emplace(bytes(parts, parts.size()), c);
    }
  }

  std::unordered_map<uint64_t, char32_t> pairs_;
  std::unordered_set<char32_t> seconds_;
};

struct Marked {
  Change change;
  int order;
};

}  // namespace

void decompose(std::string_view text, Decomposition kind, std::vector<Change>& out) {
  std::vector<Marked> pending;  // marks since the last starter, to be put in order of their class
  const auto flush = [&] {
    if (pending.size() > 1)
      std::stable_sort(pending.begin(), pending.end(), [](const Marked& a, const Marked& b) { return a.order < b.order; });
    for (const Marked& m : pending) out.push_back(m.change);
    pending.clear();
  };
  Decomposed parts;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_char(text, at);
    const size_t n = c < 0x80 ? 1 : decompose_char(c, kind, parts);
    if (c < 0x80) parts[0] = static_cast<utf8proc_int32_t>(c);
    for (size_t i = 0; i < n; ++i) {
      const auto part = static_cast<char32_t>(parts[i]);
      const int order = part < 0x300 ? 0 : combining_class(part);
      const Change change{part, i > 0 ? 1 : 0};
      if (order == 0) {
        flush();
        out.push_back(change);
      } else {
        pending.push_back({change, order});
      }
    }
  }
  flush();
}

void compose(std::vector<Change>& text) {
  const Composites& composites = Composites::get();
  size_t kept = 0;
  size_t starter = text.size();  // where in the kept part the last starter is; text.size(): none yet
  int last_class = 0;            // of the last kept mark after the starter
  for (size_t i = 0; i < text.size(); ++i) {
    const Change now = text[i];
    const int order = now.c < 0x300 ? 0 : combining_class(now.c);
    const bool adjacent = starter < kept && starter + 1 == kept;
    if (starter < kept && (adjacent || (last_class < order && last_class != 0))) {
      if (const char32_t c = composites.find(text[starter].c, now.c)) {
        text[starter] = {c, text[starter].change + now.change - 1};
        continue;
      }
    }
    if (order == 0) starter = kept;
    last_class = order;
    text[kept++] = now;
  }
  text.resize(kept);
}

bool surely_normal(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const char32_t c = next_char(text, at);
    const uint32_t word = unicode_word(c);
    if (!has(word, Trait::nfkd_inert) || has(word, Trait::reordered)) return false;
    if (Composites::get().second(c)) return false;
  }
  return true;
}

}  // namespace tessera::text
