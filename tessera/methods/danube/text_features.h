#pragma once
// What can be said of a document's quality by counting (Danube2's first filter stage, arXiv 2401.16818v2; the counts are those of Gopher,
// arXiv 2112.11446, table A1, and C4): inputs of the boosted trees.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/methods/danube/ngram_model.h"

namespace tessera::danube {

inline constexpr std::array kFeatureNames = std::to_array<std::string_view>({
    "log_characters",        // ln(1 + code points)
    "word_length",           // mean letters and digits of a word
    "letter_ratio",          // letters of all characters but white space; so the next two
    "digit_ratio",           //
    "symbol_ratio",          // neither letter nor digit
    "upper_ratio",           // upper-case of all letters
    "stop_word_ratio",       // of all words: the, of, and ... (English)
    "unique_word_ratio",     // distinct words of all words
    "line_length",           // mean code points of a line that is not empty
    "sentence_end_ratio",    // lines that end in . ! ? or a closing quote
    "bullet_ratio",          // lines that begin with - * or a bullet
    "repeated_line_ratio",   // lines that occurred before
    "repeated_2gram_ratio",  // word pairs that occurred before
    "repeated_4gram_ratio",  //
    "nats_per_byte",         // of the n-gram model; 0 without one
});

// One value a name, all finite, for any bytes; an empty text gives zeros.
std::vector<float> text_features(std::string_view text, const NgramModel* model);

}  // namespace tessera::danube
