#pragma once
// Text with many short entries in one file: dictd dictionaries and fortune files.

#include <string>
#include <string_view>
#include <vector>

#include "tessera/data/document.h"

namespace tessera::data {

// The sayings of a fortune file: pieces between lines that hold only "%", cleaned, empty ones left out. A full line (58 columns and more)
// is joined with the next; short ones, verse and dialogue, keep their line ends, and so do attributions ("-- Mark Twain").
std::vector<std::string> fortunes(std::string_view file);

// The glosses of a dictd dictionary in WordNet's layout (package dict-wn): one document per head word, "word: gloss; gloss", named by the
// word. Editorial entries (00-database-...) and the synonym lists in brackets are left out.
std::vector<Document> dictd_glosses(std::string_view file);

}  // namespace tessera::data
