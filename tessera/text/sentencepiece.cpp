#include "tessera/text/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/tokenizer_json.h"

namespace tessera::text {

namespace {

bool in_vocabulary(const SentencePiece& piece) { return piece.type != PieceType::control && piece.type != PieceType::unused; }

bool merges_into(const SentencePiece& piece) { return piece.type == PieceType::normal || piece.type == PieceType::user_defined; }

// Every way to make a piece of two others. SentencePiece merges by the score of the result, the leftmost first; within one result the
// order of the splits follows the ids of the halves.
std::vector<Merge> merges_by_score(const std::vector<SentencePiece>& pieces) {
  PieceTable ids(pieces.size());
  std::vector<TokenId> results;  // whoever has a text first
  std::vector<bool> lengths;     // the halves' lengths decide most cuts, so that a long piece costs no hash of every part of it
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string& text = pieces[id].text;
    if (!merges_into(pieces[id]) || !ids.insert(text, static_cast<TokenId>(id))) continue;
    results.push_back(static_cast<TokenId>(id));
    if (lengths.size() <= text.size()) lengths.resize(text.size() + 1);
    lengths[text.size()] = true;
  }
  std::ranges::stable_sort(results, std::greater(), [&](TokenId id) {
    const double score = pieces[static_cast<size_t>(id)].score;
    return std::isnan(score) ? -std::numeric_limits<double>::infinity() : score;
  });
  std::vector<Merge> merges;
  for (const TokenId merged : results) {
    const std::string_view piece = pieces[static_cast<size_t>(merged)].text;
    const auto first = static_cast<ptrdiff_t>(merges.size());
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      if ((static_cast<unsigned char>(piece[cut]) & 0xC0) == 0x80 || !lengths[cut] || !lengths[piece.size() - cut]) continue;
      const TokenId left = ids.find(piece.substr(0, cut));
      const TokenId right = left < 0 ? -1 : ids.find(piece.substr(cut));
      if (right >= 0) merges.push_back({left, right, merged});
    }
    std::sort(merges.begin() + first, merges.end(),
              [](const Merge& a, const Merge& b) { return std::pair(a.left, a.right) < std::pair(b.left, b.right); });
  }
  return merges;
}

void add_normalizer(const SentencePieceModel& model, TokenizerSpec& spec) {
  using Kind = NormalizerStep::Kind;
  const auto replace = [&](std::string from, bool regex, std::string to) {
    NormalizerStep step;
    step.kind = Kind::replace;
    step.pattern = {std::move(from), regex};
    step.content = std::move(to);
    spec.normalizer.push_back(std::move(step));
  };
  if (!model.charsmap.empty()) {
    NormalizerStep step;
    step.kind = Kind::precompiled;
    step.content = model.charsmap;
    spec.normalizer.push_back(std::move(step));
  }
  if (model.remove_extra_whitespaces) {
    replace("\\A +", true, "");
    replace(" {2,}", true, " ");
  }
  if (model.add_dummy_prefix) {
    NormalizerStep step;
    step.kind = Kind::prepend;
    step.content = model.escape_whitespaces ? "\u2581" : " ";
    spec.normalizer.push_back(std::move(step));
  }
  if (model.escape_whitespaces) replace(" ", false, "\u2581");
  if (model.remove_extra_whitespaces) replace(model.escape_whitespaces ? "\u2581+\\z" : " +\\z", true, "");
}

void add_decoder(const SentencePieceModel& model, TokenizerSpec& spec) {
  using Kind = DecoderStep::Kind;
  const auto add = [&](Kind kind) -> DecoderStep& {
    spec.decoder.emplace_back().kind = kind;
    return spec.decoder.back();
  };
  DecoderStep& blanks = add(Kind::replace);
  blanks.pattern.text = "\u2581";
  blanks.content = " ";
  add(Kind::byte_fallback);
  add(Kind::fuse);
  spec.has_decoder = true;
  if (!model.add_dummy_prefix) return;
  DecoderStep& strip = add(Kind::strip);
  strip.content = " ";
  strip.start = 1;
}

}  // namespace

TokenizerSpec sentencepiece_spec(SentencePieceModel model) {
  TokenizerSpec spec;
  spec.source = model.source;
  spec.model = model.bpe ? TokenizerSpec::Model::bpe : TokenizerSpec::Model::unigram;
  spec.byte_fallback = model.byte_fallback;
  spec.fuse_unk = true;
  double least = std::numeric_limits<double>::infinity();
  for (const SentencePiece& piece : model.pieces)
    if (piece.type == PieceType::normal) least = std::min(least, piece.score);
  if (least == std::numeric_limits<double>::infinity()) least = 0;
  if (model.bpe) spec.merges = merges_by_score(model.pieces);
  const auto size = static_cast<int64_t>(model.pieces.size());
  spec.vocab.reserve(model.pieces.size());
  for (int64_t id = 0; id < size; ++id) {
    SentencePiece& piece = model.pieces[static_cast<size_t>(id)];
    const auto token = static_cast<TokenId>(id);
    if (piece.type == PieceType::unknown) {
      spec.unk_id = token;
      spec.unk_token = piece.text;
    }
    const bool special = piece.type == PieceType::control || piece.type == PieceType::unknown;
    if (special || piece.type == PieceType::user_defined) {
      AddedToken& added = spec.added_tokens.emplace_back();
      added.content = piece.text;
      added.id = token;
      added.special = special;
      added.normalized = !special && !model.remove_extra_whitespaces && !model.add_dummy_prefix;  // else a symbol would change too
    }
    // Bytes and the unknown piece are no pieces of text: the least score keeps Unigram from taking them for some
    const double score = piece.type == PieceType::normal ? piece.score : least;
    if (in_vocabulary(piece)) spec.vocab.push_back({std::move(piece.text), token, score});
  }
  if (!model.bpe && !spec.unk_id) throw InputError("{}: a Unigram model without an unknown piece; train it with unk_id", model.source);
  add_normalizer(model, spec);
  add_decoder(model, spec);
  const auto role = [&](int64_t id) { return id >= 0 && id < size ? std::optional(static_cast<TokenId>(id)) : std::nullopt; };
  spec.bos_id = role(model.bos_id);
  spec.eos_id = role(model.eos_id);
  spec.pad_id = role(model.pad_id);
  spec.unk_role_id = role(model.unk_id);
  return spec;
}

void add_bos_and_eos(TokenizerSpec& spec, bool bos, bool eos) {
  const auto special = [&](TokenId id) {
    TemplateItem item;
    item.kind = TemplateItem::Kind::special;
    item.ids = {id};
    for (const auto& entry : spec.vocab)
      if (entry.id == id) item.pieces = {entry.piece};
    for (const auto& token : spec.added_tokens)
      if (token.id == id) item.pieces = {token.content};
    return item;
  };
  PostProcessorStep step;
  for (auto* items : {&step.single, &step.pair}) {
    for (const auto kind : {TemplateItem::Kind::sequence_a, TemplateItem::Kind::sequence_b}) {
      if (kind == TemplateItem::Kind::sequence_b && items == &step.single) continue;
      if (bos && spec.bos_id) items->push_back(special(*spec.bos_id));
      items->emplace_back().kind = kind;
      if (kind == TemplateItem::Kind::sequence_b) items->back().type_id = 1;
      if (eos && spec.eos_id) items->push_back(special(*spec.eos_id));
    }
  }
  if ((bos && spec.bos_id) || (eos && spec.eos_id)) spec.post_processor.push_back(std::move(step));
}

Tokenizer load_sentencepiece(const std::filesystem::path& path) {
  TokenizerSpec spec = sentencepiece_spec(parse_sentencepiece(read_file(path, uint64_t{1} << 30), path.string()));
  const auto config_path = path.parent_path() / "tokenizer_config.json";
  read_roles(path.parent_path(), spec);
  if (std::filesystem::is_regular_file(config_path)) {
    const auto config = try_parse_json(read_file(config_path, 64u << 20));
    const auto flag = [&](const char* key) {
      return config.is_object() && config.contains(key) && config[key].is_boolean() && config[key].get<bool>();
    };
    add_bos_and_eos(spec, flag("add_bos_token"), flag("add_eos_token"));
  }
  return Tokenizer(std::move(spec));
}

}  // namespace tessera::text
