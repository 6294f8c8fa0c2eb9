#include "tessera/text/train_unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tessera/base/error.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

constexpr double kNever = -1e30;

struct Piece {
  std::string text;
  double score = 0;     // natural log of the probability
  bool single = false;  // one character: stays
};

// digamma(x), x > 0: EM with a sparse Dirichlet prior weighs a piece by exp(digamma(count)) instead of its count.
double digamma(double x) {
  double result = 0;
  for (; x < 7; ++x) result -= 1 / x;
  x -= 0.5;
  const double square = 1 / (x * x);
  return result + std::log(x) + square * (1.0 / 24 - square * (7.0 / 960 - square * (31.0 / 8064 - square * 127.0 / 30720)));
}

double log_sum(double a, double b) {
  const double high = std::max(a, b);
  return high <= kNever ? kNever : high + std::log1p(std::exp(std::min(a, b) - high));
}

// Substrings of 2 to `longest` characters that occur twice or more, with their counts: of a length only those whose beginning, one
// character shorter, is frequent too. The mark of a word's start stands nowhere but in front.
std::unordered_map<std::string_view, int64_t> frequent_substrings(const WordCounts& words, int64_t longest, const TrainProgress& progress) {
  std::vector<std::vector<uint32_t>> starts(words.size());  // byte offsets of the characters, and the end
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i].first;
    for (size_t at = 0; at < word.size(); at += char_length(word[at])) starts[i].push_back(static_cast<uint32_t>(at));
    starts[i].push_back(static_cast<uint32_t>(word.size()));
  }
  std::unordered_map<std::string_view, int64_t> all, shorter, counted;
  for (int64_t length = 2; length <= longest; ++length) {
    counted.clear();
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string_view word = words[i].first;
      for (size_t begin = 0; begin + static_cast<size_t>(length) < starts[i].size(); ++begin) {
        const uint32_t from = starts[i][begin], to = starts[i][begin + static_cast<size_t>(length)];
        const uint32_t before = starts[i][begin + static_cast<size_t>(length) - 1];
        if (length == 2 || shorter.contains(word.substr(from, before - from))) counted[word.substr(from, to - from)] += words[i].second;
      }
    }
    std::erase_if(counted, [](const auto& entry) { return entry.second < 2; });
    if (counted.empty()) break;
    all.insert(counted.begin(), counted.end());
    std::swap(shorter, counted);
    if (progress) progress("seed", length, longest);
  }
  return all;
}

class UnigramTrainer {
 public:
  UnigramTrainer(const WordCounts& words, const UnigramOptions& options) : words_(words), options_(options) {}

  // Pieces by falling score, at most `size` of them, all characters among them.
  std::vector<Piece> run(size_t size) {
    seed();
    const size_t wanted = size + size / 10;
    while (true) {
      for (int64_t i = 0; i < options_.rounds; ++i) expect_and_maximise();
      if (options_.vocab.progress) options_.vocab.progress("prune", static_cast<int64_t>(pieces_.size()), static_cast<int64_t>(size));
      if (pieces_.size() <= wanted) break;
      const size_t before = pieces_.size();
      prune(std::max(wanted, static_cast<size_t>(options_.keep * static_cast<double>(pieces_.size()))));
      if (pieces_.size() == before) break;  // only characters are left
    }
    std::stable_sort(pieces_.begin(), pieces_.end(), by_score);
    std::vector<Piece> kept;
    size_t singles = static_cast<size_t>(std::count_if(pieces_.begin(), pieces_.end(), [](const Piece& p) { return p.single; }));
    for (Piece& piece : pieces_) {
      if (piece.single) --singles;
      if (piece.single || kept.size() + singles < size) kept.push_back(std::move(piece));
    }
    return kept;
  }

 private:
  static bool by_score(const Piece& a, const Piece& b) { return a.score != b.score ? a.score > b.score : a.text < b.text; }

  void seed() {
    std::unordered_map<std::string, int64_t> characters;
    for (const auto& [word, count] : words_)
      for (size_t at = 0; at < word.size(); at += char_length(word[at])) characters[word.substr(at, char_length(word[at]))] += count;
    const auto substrings = frequent_substrings(words_, options_.longest_piece, options_.vocab.progress);
    for (const auto& [text, count] : characters) pieces_.push_back({text, static_cast<double>(count), true});
    std::vector<Piece> longer;
    longer.reserve(substrings.size());
    for (const auto& [text, count] : substrings)  // what a piece covers: its count times its characters
      longer.push_back({std::string(text), static_cast<double>(count) * static_cast<double>(count_chars(text)), false});
    std::sort(longer.begin(), longer.end(), by_score);
    if (longer.size() > static_cast<size_t>(options_.seeds)) longer.resize(static_cast<size_t>(options_.seeds));
    std::sort(pieces_.begin(), pieces_.end(), by_score);
    std::move(longer.begin(), longer.end(), std::back_inserter(pieces_));
    double all = 0;
    for (const Piece& piece : pieces_) all += piece.score;
    for (Piece& piece : pieces_) piece.score = std::log(piece.score / all);
    build_trie();
  }

  void build_trie() {
    trie_ = PieceTrie();
    for (size_t i = 0; i < pieces_.size(); ++i) trie_.insert(pieces_[i].text, static_cast<TokenId>(i));
  }

  // Calls visit(begin, end, piece) for all pieces inside a word, by rising begin.
  template <class Visit>
  void each_piece(std::string_view word, Visit visit) const {
    for (size_t begin = 0; begin < word.size(); begin += char_length(word[begin])) {
      uint32_t node = 0;
      for (size_t at = begin; at < word.size(); ++at) {
        node = trie_.step(node, static_cast<unsigned char>(word[at]));
        if (node == 0) break;
        if (const TokenId id = trie_.id(node); id >= 0) visit(begin, at + 1, static_cast<size_t>(id));
      }
    }
  }

  void expect_and_maximise() {
    std::vector<double> expected(pieces_.size(), 0), forward, backward;
    struct Edge {
      size_t begin, end, piece;
    };
    std::vector<Edge> edges;
    for (const auto& [word, count] : words_) {
      edges.clear();
      forward.assign(word.size() + 1, kNever);
      backward.assign(word.size() + 1, kNever);
      forward[0] = backward[word.size()] = 0;
      each_piece(word, [&](size_t begin, size_t end, size_t piece) {
        forward[end] = log_sum(forward[end], forward[begin] + pieces_[piece].score);
        edges.push_back({begin, end, piece});
      });
      for (size_t i = edges.size(); i-- > 0;)
        backward[edges[i].begin] = log_sum(backward[edges[i].begin], backward[edges[i].end] + pieces_[edges[i].piece].score);
      for (const Edge& edge : edges) {
        const double share = forward[edge.begin] + pieces_[edge.piece].score + backward[edge.end] - forward[word.size()];
        expected[edge.piece] += static_cast<double>(count) * std::exp(share);
      }
    }
    std::vector<Piece> kept;
    std::vector<double> counts;
    double all = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (expected[i] < 0.5 && !pieces_[i].single) continue;
      counts.push_back(std::max(expected[i], 1e-3));
      all += counts.back();
      kept.push_back(std::move(pieces_[i]));
    }
    for (size_t i = 0; i < kept.size(); ++i) kept[i].score = digamma(counts[i]) - digamma(all);
    pieces_ = std::move(kept);
    build_trie();
  }

  // The best way through `word`, piece by piece; `without`: a piece that may not be used.
  double best_path(std::string_view word, size_t without, std::vector<size_t>& path) const {
    std::vector<double> best(word.size() + 1, kNever);
    std::vector<std::pair<size_t, size_t>> last(word.size() + 1);
    best[0] = 0;
    each_piece(word, [&](size_t begin, size_t end, size_t piece) {
      const double score = best[begin] + pieces_[piece].score;
      if (piece == without || best[begin] <= kNever || score <= best[end]) return;
      best[end] = score;
      last[end] = {begin, piece};
    });
    path.clear();
    for (size_t at = word.size(); at > 0 && best[word.size()] > kNever; at = last[at].first) path.push_back(last[at].second);
    return best[word.size()];
  }

  // Drops the pieces whose absence costs the least likelihood: count times (own score - score of the best replacement).
  void prune(size_t size) {
    std::vector<int64_t> used(pieces_.size(), 0);
    std::vector<size_t> path;
    for (const auto& [word, count] : words_) {
      best_path(word, std::numeric_limits<size_t>::max(), path);
      for (const size_t piece : path) used[piece] += count;
    }
    std::vector<std::pair<double, size_t>> losses;
    std::vector<bool> keep(pieces_.size());
    size_t kept = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      keep[i] = pieces_[i].single;
      kept += keep[i] ? 1 : 0;
      if (pieces_[i].single || used[i] == 0) continue;
      const double other = best_path(pieces_[i].text, i, path);
      losses.emplace_back(-static_cast<double>(used[i]) * (pieces_[i].score - other), i);
    }
    std::sort(losses.begin(), losses.end());
    for (size_t i = 0; i < losses.size() && kept < size; ++i, ++kept) keep[losses[i].second] = true;
    std::vector<Piece> left;
    for (size_t i = 0; i < pieces_.size(); ++i)
      if (keep[i]) left.push_back(std::move(pieces_[i]));
    pieces_ = std::move(left);
    build_trie();
  }

  const WordCounts& words_;
  const UnigramOptions& options_;
  std::vector<Piece> pieces_;
  PieceTrie trie_;
};

}  // namespace

TokenizerSpec train_unigram(const TextSource& next, const UnigramOptions& options) {
  const WordCounts words = count_marked_words(next, options.vocab.progress);
  std::vector<std::string> first = options.vocab.special_tokens;
  if (std::find(first.begin(), first.end(), "<unk>") == first.end()) first.emplace_back("<unk>");
  const int64_t room = options.vocab.size - static_cast<int64_t>(first.size());
  if (room < 1) throw InputError("a vocabulary of {} has no room beside {} special tokens; give more", options.vocab.size, first.size());
  const std::vector<Piece> pieces = UnigramTrainer(words, options).run(static_cast<size_t>(room));
  if (static_cast<int64_t>(pieces.size()) > room)
    throw InputError("a vocabulary of {} has no room for {} characters and {} special tokens; give {} or more", options.vocab.size,
                     pieces.size(), first.size(), pieces.size() + first.size());
  TokenizerSpec spec;
  spec.source = "trained vocabulary";
  spec.model = TokenizerSpec::Model::unigram;
  spec.fuse_unk = true;
  for (const std::string& token : first) {
    AddedToken& added = spec.added_tokens.emplace_back();
    added.content = token;
    added.id = static_cast<TokenId>(spec.vocab.size());
    added.special = true;
    if (token == "<unk>") spec.unk_id = added.id;
    spec.vocab.push_back({token, added.id, 0});
  }
  for (const Piece& piece : pieces) {
    if (std::find(first.begin(), first.end(), piece.text) == first.end())
      spec.vocab.push_back({piece.text, static_cast<TokenId>(spec.vocab.size()), piece.score});
  }
  spec.pre_tokenizer.emplace_back().kind = PreTokenizerStep::Kind::metaspace;
  spec.decoder.emplace_back().kind = DecoderStep::Kind::metaspace;
  spec.has_decoder = true;
  return spec;
}

}  // namespace tessera::text
