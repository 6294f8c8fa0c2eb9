#pragma once
// The texts a person names for training, and their tokens: Debian's sources by name, files and folders of their own.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/tokenizer.h"
#include "tessera/train/token_cache.h"

namespace tessera::train {

struct CorpusName {
  std::string name;   // short and unique among the run's corpora: "anarchism", "letters"
  std::string given;  // a source's name (data/sources.h), or a path: .txt .md .jsonl .csv .tsv .parquet, packed or not, or a folder of such
  double weight = 0;  // share in the mix; 0: by its number of tokens
};

// Reads words such as "anarchism", "letters/", "anarchism=3". A path that exists wins over a source of its name. Names are made unique.
// Throws InputError when a word is neither (unless `tokenised`: its tokens are there already), naming the nearest source, and for a weight
// that is not positive.
std::vector<CorpusName> parse_corpora(const std::vector<std::string>& words, bool tokenised = false);

// Hands every document's text to `sink` until it returns false. Rows of jsonl, csv and Parquet give their field `text`. Throws InputError
// with file and line.
void for_each_text(const CorpusName& corpus, const std::function<bool(std::string&&)>& sink);

struct TokeniseOptions {
  double held_out = 0.0;  // share of the text, 0 to 0.5, that goes to `held_out_path` instead: parts of 16 kB at regular distances
  std::filesystem::path path, held_out_path;
  std::string about = {};                             // of the tokenizer: kept in the file, see TokenCache::metadata
  std::function<void(uint64_t bytes)> progress = {};  // bytes of text so far
};

// Tokens of all documents, each closed by the tokenizer's end-of-text token if it has one, into two cache files. No special token is read
// in the text. Throws InputError when the corpus holds no text.
void tokenise(const CorpusName& corpus, const text::Tokenizer& tokenizer, const TokeniseOptions& options);

// A byte-level BPE vocabulary of at most `size` pieces (fewer when the texts repeat no more pairs) from the first 64 MB of the corpora's
// texts, with <|endoftext|> as its only special token: the text of a tokenizer.json. Throws InputError below 257 pieces.
std::string train_tokenizer(const std::vector<CorpusName>& corpora, int64_t size, const std::function<void(std::string_view)>& phase = {});
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

}  // namespace tessera::train
