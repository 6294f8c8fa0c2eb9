#pragma once
// What training a vocabulary takes in, whatever the model: texts, a size, special tokens.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

// The next text (UTF-8; other bytes become U+FFFD), or nothing after the last one. Called once for each text.
using TextSource = std::function<std::optional<std::string>()>;
TextSource texts_of(std::vector<std::string> texts);
TextSource lines_of(std::string text);  // a text a line, without the newline

// Called now and then: `phase` is "count", "seed", "merge", "expect" or "prune"; `done` of `all` of it (all 0: unknown).
using TrainProgress = std::function<void(std::string_view phase, int64_t done, int64_t all)>;

struct VocabOptions {
  int64_t size = 32'000;                         // pieces, special tokens and single bytes or characters included
  int64_t least_count = 0;                       // a merge must occur so often (BPE)
  std::vector<std::string> special_tokens = {};  // get the first ids, in this order
  TrainProgress progress = {};
};

// Words with the number of times they occur, sorted by their bytes.
using WordCounts = std::vector<std::pair<std::string, int64_t>>;
// Cuts each text at white space, every word marked with U+2581 in front, as SentencePiece does.
WordCounts count_marked_words(const TextSource& next, const TrainProgress& progress);
// Cuts each text as GPT-2 does and writes the words in the printable alphabet of byte-level BPE.
WordCounts count_byte_words(const TextSource& next, const TrainProgress& progress);

}  // namespace tessera::text
