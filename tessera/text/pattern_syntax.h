#pragma once
// Turns a pattern in Oniguruma's Ruby syntax, as tokenizer.json files write it, into PCRE2's.

#include <string>
#include <string_view>

namespace tessera::text {

// Unicode properties become the ranges of our own table (PCRE2's may be of another version), \s and \w likewise; \h is a hexadecimal
// digit; \uXXXX becomes \x{XXXX}; a + after {n,m} repeats instead of being possessive. All else stays.
// Throws InputError for classes inside classes, which PCRE2 would read as something else.
std::string to_pcre2(std::string_view pattern);

}  // namespace tessera::text
