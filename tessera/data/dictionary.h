#pragma once
// Text with many short entries in one file: dictd dictionaries and fortune files.

#include <string>
#include <string_view>
#include <vector>

#include "tessera/data/document.h"

namespace tessera::data {

// The sayings of a fortune file: pieces between lines that hold only "%", unwrapped and cleaned, empty ones left out. Tabs that indent
// verse are dropped; line ends that make verse (short lines) are kept.
std::vector<std::string> fortunes(std::string_view file);

// The glosses of a dictd dictionary in WordNet's layout (package dict-wn): one document per head word, "word: gloss; gloss", named by the
// word. Editorial entries (00-database-...) and the synonym lists in brackets are left out.
std::vector<Document> dictd_glosses(std::string_view file);

}  // namespace tessera::data
