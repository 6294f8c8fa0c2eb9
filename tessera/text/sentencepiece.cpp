#include "tessera/text/sentencepiece.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/text/tokenizer_json.h"

namespace tessera::text {

namespace {

bool in_vocabulary(const SentencePiece& piece) { return piece.type != PieceType::control && piece.type != PieceType::unused; }

bool merges_into(const SentencePiece& piece) { return piece.type == PieceType::normal || piece.type == PieceType::user_defined; }

// Every way to make a piece of two others. SentencePiece merges by the score of the result, the leftmost first; within one result the
// order of the splits follows the ids of the halves.
std::vector<Merge> merges_by_score(const std::vector<SentencePiece>& pieces) {
  std::unordered_map<std::string_view, TokenId> ids;
  for (size_t id = 0; id < pieces.size(); ++id)
    if (merges_into(pieces[id])) ids.emplace(pieces[id].text, static_cast<TokenId>(id));
  std::unordered_set<size_t> lengths;  // the halves' lengths decide most cuts, so that a long piece costs no hash of every part of it
  for (const auto& [piece, id] : ids) lengths.insert(piece.size());
  std::vector<Merge> merges;
  for (const auto& [piece, merged] : ids) {
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      if ((static_cast<unsigned char>(piece[cut]) & 0xC0) == 0x80) continue;
      if (lengths.count(cut) == 0 || lengths.count(piece.size() - cut) == 0) continue;
      const auto left = ids.find(piece.substr(0, cut)), right = ids.find(piece.substr(cut));
      if (left != ids.end() && right != ids.end()) merges.push_back({left->second, right->second, merged});
    }
  }
  std::sort(merges.begin(), merges.end(), [&](const Merge& a, const Merge& b) {
    const double x = pieces[static_cast<size_t>(a.merged)].score, y = pieces[static_cast<size_t>(b.merged)].score;
    if (x != y) return x > y;
    return std::tuple(a.merged, a.left, a.right) < std::tuple(b.merged, b.left, b.right);
  });
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
  const auto size = static_cast<int64_t>(model.pieces.size());
  for (int64_t id = 0; id < size; ++id) {
    const SentencePiece& piece = model.pieces[static_cast<size_t>(id)];
    const auto token = static_cast<TokenId>(id);
    // Bytes and the unknown piece are no pieces of text: the least score keeps Unigram from taking them for some
    if (in_vocabulary(piece)) spec.vocab.push_back({piece.text, token, piece.type == PieceType::normal ? piece.score : least});
    if (piece.type == PieceType::unknown) {
      spec.unk_id = token;
      spec.unk_token = piece.text;
    }
    const bool special = piece.type == PieceType::control || piece.type == PieceType::unknown;
    if (!special && piece.type != PieceType::user_defined) continue;
    AddedToken added;
    added.content = piece.text;
    added.id = token;
    added.special = special;
    added.normalized = !special && !model.remove_extra_whitespaces && !model.add_dummy_prefix;  // else a symbol would change too
    spec.added_tokens.push_back(std::move(added));
  }
  if (model.bpe) spec.merges = merges_by_score(model.pieces);
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
    const auto config = nlohmann::json::parse(read_file(config_path, 64u << 20), nullptr, false);
    const auto flag = [&](const char* key) {
      return config.is_object() && config.contains(key) && config[key].is_boolean() && config[key].get<bool>();
    };
    add_bos_and_eos(spec, flag("add_bos_token"), flag("add_eos_token"));
  }
  return Tokenizer(std::move(spec));
}

}  // namespace tessera::text
