#include "tessera/text/train_bpe.h"

#include <algorithm>
#include <queue>

#include "tessera/base/error.h"
#include "tessera/text/byte_level.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

constexpr std::string_view kMark = "\u2581";
constexpr double kCoverage = 0.9995;  // of all characters: the rest is left to bytes, as SentencePiece does by default

uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct TrainedWord {
  std::vector<TokenId> symbols;
  int64_t count = 0;
};

struct Candidate {
  int64_t count = 0;
  uint64_t pair = 0;
  bool operator<(const Candidate& other) const { return count != other.count ? count < other.count : pair > other.pair; }
};

class BpeTrainer {
 public:
  BpeTrainer(const VocabOptions& options) : options_(options) {}

  TokenId add(std::string piece) {
    const auto [found, is_new] = ids_.emplace(piece, static_cast<TokenId>(pieces_.size()));
    if (is_new) pieces_.push_back(std::move(piece));
    return found->second;
  }
  void add_word(TrainedWord word) {
    if (word.symbols.size() > 1) words_.push_back(std::move(word));
  }
  const std::vector<std::string>& pieces() const { return pieces_; }

  std::vector<Merge> run() {
    count_pairs();
    std::vector<Merge> merges;
    while (static_cast<int64_t>(pieces_.size()) < options_.size && !queue_.empty()) {
      Candidate best = queue_.top();
      queue_.pop();
      if (const int64_t now = counts_[best.pair]; now != best.count) {  // counts sink while a pair waits
        best.count = now;
        queue_.push(best);
        continue;
      }
      if (best.count < std::max<int64_t>(1, options_.least_count)) break;
      const auto left = static_cast<TokenId>(best.pair >> 32), right = static_cast<TokenId>(best.pair & 0xFFFFFFFF);
      const TokenId merged = add(pieces_[static_cast<size_t>(left)] + pieces_[static_cast<size_t>(right)]);
      merges.push_back({left, right, merged});
      merge_everywhere(best.pair, left, right, merged);
      if (options_.progress && merges.size() % 256 == 0) options_.progress("merge", static_cast<int64_t>(pieces_.size()), options_.size);
    }
    return merges;
  }

 private:
  void count_pairs() {
    for (uint32_t index = 0; index < words_.size(); ++index) {
      const TrainedWord& word = words_[index];
      for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        const uint64_t key = pair_key(word.symbols[i], word.symbols[i + 1]);
        counts_[key] += word.count;
        note(key, index);
      }
    }
    for (const auto& [key, count] : counts_)
      if (count > 0) queue_.push({count, key});
  }

  void note(uint64_t key, uint32_t word) {
    auto& places = places_[key];
    if (places.empty() || places.back() != word) places.push_back(word);
  }

  void merge_everywhere(uint64_t key, TokenId left, TokenId right, TokenId merged) {
    std::vector<uint32_t> places = std::move(places_[key]);
    places_.erase(key);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    std::vector<uint64_t> risen;
    for (const uint32_t index : places) {
      TrainedWord& word = words_[index];
      std::vector<TokenId>& symbols = word.symbols;
      size_t out = 0;
      for (size_t i = 0; i < symbols.size(); ++i) {
        if (symbols[i] != left || i + 1 >= symbols.size() || symbols[i + 1] != right) {
          symbols[out++] = symbols[i];
          continue;
        }
        const auto change = [&](TokenId a, TokenId b, int64_t by) {
          const uint64_t changed = pair_key(a, b);
          counts_[changed] += by;
          if (by < 0) return;
          note(changed, index);
          risen.push_back(changed);
        };
        if (out > 0) {
          change(symbols[out - 1], left, -word.count);
          change(symbols[out - 1], merged, word.count);
        }
        if (i + 2 < symbols.size()) {
          change(right, symbols[i + 2], -word.count);
          change(merged, symbols[i + 2], word.count);
        }
        symbols[out++] = merged;
        ++i;
      }
      symbols.resize(out);
    }
    std::sort(risen.begin(), risen.end());
    risen.erase(std::unique(risen.begin(), risen.end()), risen.end());
    for (const uint64_t pair : risen)
      if (const int64_t count = counts_[pair]; count > 0) queue_.push({count, pair});
  }

  const VocabOptions& options_;
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, TokenId> ids_;
  std::vector<TrainedWord> words_;
  std::unordered_map<uint64_t, int64_t> counts_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> places_;
  std::priority_queue<Candidate> queue_;
};

void check_room(int64_t size, size_t needed) {
  if (size < static_cast<int64_t>(needed))
    throw InputError("a vocabulary of {} has no room for {} special tokens and single characters; give {} or more", size, needed, needed);
}

std::string printable(unsigned char byte) {
  std::string piece;
  append_utf8(piece, byte_to_char(byte));
  return piece;
}

void add_special_tokens(const std::vector<std::string>& tokens, TokenizerSpec& spec) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    AddedToken& token = spec.added_tokens.emplace_back();
    token.content = tokens[i];
    token.id = static_cast<TokenId>(i);
    token.special = true;
  }
}

TokenizerSpec finish(BpeTrainer& trainer, const VocabOptions& options) {
  TokenizerSpec spec;
  spec.source = "trained vocabulary";
  spec.merges = trainer.run();
  for (size_t id = 0; id < trainer.pieces().size(); ++id) spec.vocab.push_back({trainer.pieces()[id], static_cast<TokenId>(id), 0});
  add_special_tokens(options.special_tokens, spec);
  spec.has_decoder = true;
  return spec;
}

TokenizerSpec train_byte_level(const WordCounts& words, const VocabOptions& options) {
  BpeTrainer trainer(options);
  for (const std::string& token : options.special_tokens) trainer.add(token);
  std::vector<std::pair<char32_t, unsigned>> alphabet;  // by code point, as Hugging Face's trainer numbers it
  for (unsigned byte = 0; byte < 256; ++byte) alphabet.emplace_back(byte_to_char(static_cast<unsigned char>(byte)), byte);
  std::sort(alphabet.begin(), alphabet.end());
  std::vector<TokenId> ids(256);
  for (const auto& entry : alphabet) ids[entry.second] = trainer.add(printable(static_cast<unsigned char>(entry.second)));
  check_room(options.size, trainer.pieces().size());
  for (const auto& [text, count] : words) {
    TrainedWord word{{}, count};
    for (const char c : text) word.symbols.push_back(ids[static_cast<unsigned char>(c)]);
    trainer.add_word(std::move(word));
  }
  TokenizerSpec spec = finish(trainer, options);
  PreTokenizerStep& cut = spec.pre_tokenizer.emplace_back();
  cut.kind = PreTokenizerStep::Kind::byte_level;
  cut.add_prefix_space = false;
  spec.decoder.emplace_back().kind = DecoderStep::Kind::byte_level;
  return spec;
}

// The characters that make up kCoverage of the text, by code point.
std::vector<std::string> frequent_characters(const WordCounts& words) {
  std::unordered_map<std::string, int64_t> counts;
  int64_t all = 0;
  for (const auto& [text, count] : words) {
    for (size_t at = 0; at < text.size(); at += char_length(text[at]))
      counts[text.substr(at, char_length(text[at]))] += count, all += count;
  }
  std::vector<std::pair<int64_t, std::string>> order;
  order.reserve(counts.size());
  for (const auto& [character, count] : counts) order.emplace_back(-count, character);
  std::sort(order.begin(), order.end());
  std::vector<std::string> kept;
  int64_t covered = 0;
  for (const auto& [count, character] : order) {
    if (static_cast<double>(covered) >= kCoverage * static_cast<double>(all)) break;
    covered -= count;
    kept.push_back(character);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

TokenizerSpec train_sentencepiece_like(const WordCounts& words, const VocabOptions& options) {
  BpeTrainer trainer(options);
  for (const std::string& token : options.special_tokens) trainer.add(token);
  const TokenId unknown = trainer.add("<unk>");
  for (unsigned byte = 0; byte < 256; ++byte) trainer.add(fmt::format("<0x{:02X}>", byte));
  std::unordered_map<std::string, TokenId> characters;
  for (const std::string& character : frequent_characters(words)) characters.emplace(character, trainer.add(character));
  check_room(options.size, trainer.pieces().size());
  for (const auto& [text, count] : words) {
    TrainedWord word{{}, count};
    for (size_t at = 0; at < text.size(); at += char_length(text[at])) {
      const auto found = characters.find(text.substr(at, char_length(text[at])));
      if (found != characters.end()) {
        word.symbols.push_back(found->second);
      } else {  // a rare character is bytes: nothing merges across it
        trainer.add_word(std::exchange(word, {{}, count}));
      }
    }
    trainer.add_word(std::move(word));
  }
  TokenizerSpec spec = finish(trainer, options);
  spec.byte_fallback = spec.fuse_unk = true;
  spec.unk_token = "<unk>";
  if (static_cast<size_t>(unknown) >= options.special_tokens.size()) {
    AddedToken& token = spec.added_tokens.emplace_back();
    token.content = "<unk>";
    token.id = unknown;
    token.special = true;
  }
  spec.normalizer.emplace_back().kind = NormalizerStep::Kind::prepend;
  spec.normalizer.back().content = kMark;
  spec.normalizer.emplace_back().kind = NormalizerStep::Kind::replace;
  spec.normalizer.back().pattern.text = " ";
  spec.normalizer.back().content = kMark;
  DecoderStep& blanks = spec.decoder.emplace_back();
  blanks.kind = DecoderStep::Kind::replace;
  blanks.pattern.text = kMark;
  blanks.content = " ";
  spec.decoder.emplace_back().kind = DecoderStep::Kind::byte_fallback;
  spec.decoder.emplace_back().kind = DecoderStep::Kind::fuse;
  DecoderStep& strip = spec.decoder.emplace_back();
  strip.kind = DecoderStep::Kind::strip;
  strip.content = " ";
  strip.start = 1;
  return spec;
}

}  // namespace

TokenizerSpec train_bpe(const TextSource& next, BpeKind kind, const VocabOptions& options) {
  if (kind == BpeKind::byte_level) return train_byte_level(count_byte_words(next, options.progress), options);
  return train_sentencepiece_like(count_marked_words(next, options.progress), options);
}

}  // namespace tessera::text
