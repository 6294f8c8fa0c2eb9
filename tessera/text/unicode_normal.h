#pragma once
// Canonical and compatibility decomposition and composition (UAX #15), keeping for every character what happened to the text it came from.

#include <cstdint>
#include <string_view>
#include <vector>

namespace tessera::text {

// One character of a changed text. `change` 0: replaces one old character; 1: inserted; -n: replaces one and removes the n after it.
struct Change {
  char32_t c = 0;
  int32_t change = 0;
};

enum class Decomposition { canonical, compatible };

// NFD or NFKD of valid UTF-8, appended to `out`.
void decompose(std::string_view text, Decomposition kind, std::vector<Change>& out);
// Composes what decompose() wrote: NFC of NFD, NFKC of NFKD.
void compose(std::vector<Change>& text);
// True when no normal form of any kind changes the text, judged by its characters alone.
bool surely_normal(std::string_view text);

}  // namespace tessera::text
