#include "tessera/train/mixed_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/data/shuffle.h"

namespace tessera::train {

MixedTokens::MixedTokens(std::vector<Corpus> corpora, const MixedTokensOptions& options) : corpora_(std::move(corpora)), options_(options) {
  if (options.piece < 2) throw InputError("pieces of {} tokens; give 2 or more", options.piece);
  for (const auto& corpus : corpora_) {
    if (corpus.cache.tokens() < 2) throw InputError("{} holds {} tokens; give more text", corpus.name, corpus.cache.tokens());
    auto& pieces = pieces_.emplace_back();
    for (int64_t d = 0; d < corpus.cache.documents(); ++d)
      for (int64_t begin = corpus.cache.begin(d), end = corpus.cache.end(d); begin < end; begin += options.piece)
        pieces.push_back({begin, std::min(begin + options.piece, end)});
  }
  cursors_.resize(corpora_.size());
}

// Which corpus a row is from: a function of the seed and the row's number.
size_t MixedTokens::draw(const std::vector<double>& weights) {
  if (weights.size() != corpora_.size()) throw InputError("{} weights for {} corpora; give one each", weights.size(), corpora_.size());
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (!(all > 0.0)) throw InputError("the weights of a mix add up to {}; give at least one above 0", all);
  double at = RandomStream(options_.seed, "mix").at(rows_++).uniform() * all;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] <= 0.0) continue;
    last = i;
    if (at < weights[i]) break;
    at -= weights[i];
  }
  return last;
}

const MixedTokens::Piece& MixedTokens::piece_at(size_t corpus) const {
  const auto& cursor = cursors_[corpus];
  const data::Shuffle order(pieces_[corpus].size(), options_.seed, cursor.epoch * corpora_.size() + corpus);
  return pieces_[corpus][order(static_cast<uint64_t>(cursor.piece))];
}

// Moves the cursor; it rests on an unread token always.
void MixedTokens::advance(size_t corpus, int64_t tokens) {
  auto& cursor = cursors_[corpus];
  cursor.offset += tokens;
  for (;;) {
    const auto& piece = piece_at(corpus);
    if (cursor.offset < piece.end - piece.begin) return;
    cursor.offset -= piece.end - piece.begin;
    if (++cursor.piece == static_cast<int64_t>(pieces_[corpus].size())) cursor.piece = 0, ++cursor.epoch;
  }
}

// Whether the rest of the present piece joins a row that holds `taken` tokens of `length`.
bool MixedTokens::fits(size_t corpus, int64_t taken, int64_t length) const {
  if (taken == 0) return true;
  const auto& piece = piece_at(corpus);
  return options_.packing == Packing::whole && piece.end - piece.begin - cursors_[corpus].offset <= length - taken;
}

// Takes the rest of the present piece, at most `most` tokens, into the row (null: passes over it). Returns how many.
int64_t MixedTokens::take(size_t corpus, int64_t most, TokenRow* row, int64_t document) {
  const auto& cache = corpora_[corpus].cache;
  const auto piece = piece_at(corpus);
  const int64_t begin = piece.begin + cursors_[corpus].offset, end = std::min(piece.end, begin + most);
  for (int64_t at = begin; row != nullptr && at < end; ++at) {
    if (at == begin && !row->tokens.empty() && !options_.mask_documents) row->targets.back() = cache.token(at);
    row->tokens.push_back(cache.token(at));
    row->targets.push_back(at + 1 < piece.end ? cache.token(at + 1) : -1);
    row->documents.push_back(document);
  }
  advance(corpus, end - begin);
  return end - begin;
}

void MixedTokens::skip(int64_t length, const std::vector<double>& weights) {
  const size_t corpus = draw(weights);
  if (options_.packing == Packing::concatenate) return advance(corpus, length);
  for (int64_t taken = 0; taken < length && fits(corpus, taken, length);) taken += take(corpus, length - taken, nullptr, 0);
}

TokenRow MixedTokens::next(int64_t length, const std::vector<double>& weights) {
  const size_t corpus = draw(weights);
  const auto& cache = corpora_[corpus].cache;
  TokenRow row;
  for (auto* part : {&row.tokens, &row.targets, &row.documents}) part->reserve(static_cast<size_t>(length));
  int64_t document = 0;
  if (options_.packing != Packing::concatenate) {
    for (int64_t taken = 0; taken < length && fits(corpus, taken, length);) taken += take(corpus, length - taken, &row, document++);
    row.tokens.resize(static_cast<size_t>(length), 0);
    row.targets.resize(static_cast<size_t>(length), -1);
    row.documents.resize(static_cast<size_t>(length), document);
    return row;
  }
  while (static_cast<int64_t>(row.tokens.size()) < length) {
    const auto piece = piece_at(corpus);
    const int64_t begin = piece.begin + cursors_[corpus].offset;
    const int64_t end = std::min(piece.end, begin + length - static_cast<int64_t>(row.tokens.size()));
    for (int64_t at = begin; at < end; ++at) {
      if (!row.tokens.empty()) row.targets.push_back(at == begin && options_.mask_documents ? -1 : cache.token(at));
      row.tokens.push_back(cache.token(at));
      row.documents.push_back(document);
    }
    const bool whole = end == piece.end;
    advance(corpus, end - begin);
    if (whole) ++document;
    if (static_cast<int64_t>(row.tokens.size()) == length) {  // what follows the row's last token
      const auto& after = piece_at(corpus);
      row.targets.push_back(whole && options_.mask_documents ? -1 : cache.token(after.begin + cursors_[corpus].offset));
    }
  }
  return row;
}

double MixedTokens::epochs(size_t corpus) const {
  return static_cast<double>(cursors_[corpus].epoch) +
         static_cast<double>(cursors_[corpus].piece) / static_cast<double>(pieces_[corpus].size());
}

nlohmann::ordered_json MixedTokens::position() const {
  auto corpora = nlohmann::ordered_json::object();
  for (size_t i = 0; i < corpora_.size(); ++i)
    corpora[corpora_[i].name] = {{"epoch", cursors_[i].epoch},
                                 {"piece", static_cast<uint64_t>(cursors_[i].piece)},
                                 {"offset", static_cast<uint64_t>(cursors_[i].offset)},
                                 {"pieces", pieces_[i].size()}};
  return {{"rows", rows_}, {"corpora", corpora}};
}

void MixedTokens::seek(const nlohmann::ordered_json& position) {
  const auto whole = [](const nlohmann::ordered_json& from, const char* key) {
    if (!from.is_object() || !from.contains(key) || !from[key].is_number_unsigned())
      throw InputError("the data position has no whole number {}; resume from another checkpoint", key);
    return from[key].get<uint64_t>();
  };
  rows_ = whole(position, "rows");
  if (!position.contains("corpora") || position["corpora"].size() != corpora_.size())
    throw InputError("the data position is of other corpora; resume with the data of the run");
  for (size_t i = 0; i < corpora_.size(); ++i) {
    const auto& name = corpora_[i].name;
    if (!position["corpora"].contains(name))
      throw InputError("the data position does not know the corpus {}; resume with the data of the run", tessera::quoted(name));
    const auto& at = position["corpora"][name];
    if (whole(at, "pieces") != pieces_[i].size() || whole(at, "piece") >= pieces_[i].size())
      throw InputError("the corpus {} has {} pieces, the data position knows {}; resume with the data of the run", tessera::quoted(name),
                       pieces_[i].size(), whole(at, "pieces"));
    cursors_[i] = {.epoch = whole(at, "epoch"),
                   .piece = static_cast<int64_t>(whole(at, "piece")),
                   .offset = static_cast<int64_t>(whole(at, "offset"))};
    const auto& piece = piece_at(i);
    if (cursors_[i].offset >= piece.end - piece.begin)
      throw InputError("the data position in {} lies outside its piece; resume from another checkpoint", tessera::quoted(name));
  }
}

}  // namespace tessera::train
