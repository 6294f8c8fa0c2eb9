#pragma once
// Character classes of a pattern in PCRE2's words, with the members that our table gives them.

#include <optional>
#include <string>
#include <string_view>

#include "tessera/text/unicode.h"

namespace tessera::text {

// Items for the inside of a character class, standing for \p{name} (or \P{name}, when negated); nothing when `name` is no general
// category. PCRE2's own property when its Unicode agrees with the table, give or take a few ranges; else all ranges.
std::optional<std::string> category_items(std::string_view name, bool negated);
// The same for a trait that PCRE2 spells `spelling`, \s or \w.
std::string trait_items(Trait trait, std::string_view spelling, bool negated);

}  // namespace tessera::text
