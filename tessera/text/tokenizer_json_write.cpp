// The inverse of the reader: every section under the name and the fields that Hugging Face `tokenizers` gives it.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "tessera/text/base64.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/tokenizer_json_names.h"

namespace tessera::text {

namespace {

using Json = nlohmann::ordered_json;

Json pattern_json(const Pattern& pattern) { return {{pattern.regex ? "Regex" : "String", pattern.text}}; }

Json byte_level_json(bool add_prefix_space, bool trim_offsets, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", trim_offsets}, {"use_regex", use_regex}};
}

Json metaspace_json(const std::string& replacement, PrependScheme scheme, bool split) {
  return {{"type", "Metaspace"}, {"replacement", replacement}, {"prepend_scheme", name_of(scheme, schemes)}, {"split", split}};
}

Json step_json(const NormalizerStep& s) {
  using Kind = NormalizerStep::Kind;
  Json json{{"type", name_of(s.kind, normalizer_kinds)}};
  if (s.kind == Kind::strip) json.update(Json{{"strip_left", s.left}, {"strip_right", s.right}});
  if (s.kind == Kind::replace) json.update(Json{{"pattern", pattern_json(s.pattern)}, {"content", s.content}});
  if (s.kind == Kind::prepend) json["prepend"] = s.content;
  if (s.kind == Kind::precompiled) json["precompiled_charsmap"] = to_base64(s.content);
  if (s.kind != Kind::bert) return json;
  json.update(Json{{"clean_text", s.clean_text},
                   {"handle_chinese_chars", s.handle_chinese_chars},
                   {"strip_accents", s.strip_accents ? Json(*s.strip_accents) : Json()},
                   {"lowercase", s.lowercase_all}});
  return json;
}

Json step_json(const PreTokenizerStep& s) {
  using Kind = PreTokenizerStep::Kind;
  if (s.kind == Kind::byte_level) return byte_level_json(s.add_prefix_space, true, s.use_regex);
  if (s.kind == Kind::metaspace) return metaspace_json(s.replacement, s.prepend_scheme, s.split);
  Json json{{"type", name_of(s.kind, pre_tokenizer_kinds)}};
  if (s.kind == Kind::split) json["pattern"] = pattern_json(s.pattern);
  if (s.kind == Kind::split || s.kind == Kind::punctuation) json["behavior"] = name_of(s.behavior, behaviors);
  if (s.kind == Kind::split) json["invert"] = s.invert;
  if (s.kind == Kind::digits) json["individual_digits"] = s.individual_digits;
  if (s.kind == Kind::char_delimiter) json["delimiter"] = s.replacement;
  if (s.kind == Kind::fixed_length) json["length"] = s.length;
  return json;
}

Json template_json(const std::vector<TemplateItem>& items, Json& specials) {
  auto list = Json::array();
  for (const auto& item : items) {
    if (item.kind != TemplateItem::Kind::special) {
      list.push_back({{"Sequence", {{"id", item.kind == TemplateItem::Kind::sequence_a ? "A" : "B"}, {"type_id", item.type_id}}}});
      continue;
    }
    const std::string name = fmt::format("{}", fmt::join(item.pieces, ""));
    list.push_back({{"SpecialToken", {{"id", name}, {"type_id", item.type_id}}}});
    specials[name] = {{"id", name}, {"ids", item.ids}, {"tokens", item.pieces}};
  }
  return list;
}

Json step_json(const PostProcessorStep& s) {
  using Kind = PostProcessorStep::Kind;
  if (s.kind == Kind::byte_level) return byte_level_json(s.add_prefix_space, s.trim_offsets, true);
  Json json{{"type", name_of(s.kind, post_processor_kinds)}};
  if (s.kind == Kind::template_processing) {
    Json specials = Json::object();
    json["single"] = template_json(s.single, specials);
    json["pair"] = template_json(s.pair, specials);
    json["special_tokens"] = std::move(specials);
    return json;
  }
  json["sep"] = Json::array({s.sep, s.sep_id});
  json["cls"] = Json::array({s.cls, s.cls_id});
  if (s.kind == Kind::roberta) json.update(Json{{"trim_offsets", s.trim_offsets}, {"add_prefix_space", s.add_prefix_space}});
  return json;
}

Json step_json(const DecoderStep& s) {
  using Kind = DecoderStep::Kind;
  if (s.kind == Kind::byte_level) return byte_level_json(true, true, true);
  if (s.kind == Kind::metaspace) return metaspace_json(s.replacement, s.prepend_scheme, true);
  Json json{{"type", name_of(s.kind, decoder_kinds)}};
  if (s.kind == Kind::wordpiece) json["prefix"] = s.content;
  if (s.kind == Kind::bpe) json["suffix"] = s.content;
  if (s.kind == Kind::strip) json.update(Json{{"content", s.content}, {"start", s.start}, {"stop", s.stop}});
  if (s.kind == Kind::replace) json.update(Json{{"pattern", pattern_json(s.pattern)}, {"content", s.content}});
  if (s.kind == Kind::ctc) json.update(Json{{"pad_token", s.pad_token}, {"word_delimiter_token", s.word_delimiter}});
  if (s.kind == Kind::ctc || s.kind == Kind::wordpiece) json["cleanup"] = s.cleanup;
  return json;
}

// The step, or a Sequence of any other number of them under the key that this section uses.
template <class Steps>
Json steps_json(const Steps& steps, const char* key) {
  if (steps.size() == 1) return step_json(steps[0]);
  auto list = Json::array();
  for (const auto& step : steps) list.push_back(step_json(step));
  return {{"type", "Sequence"}, {key, std::move(list)}};
}

template <class Steps>
Json section_json(const Steps& steps, const char* key) {
  return steps.empty() ? Json() : steps_json(steps, key);
}

Json added_token_json(const AddedToken& token) {
  return {{"id", token.id},         {"content", token.content},       {"single_word", token.single_word}, {"lstrip", token.lstrip},
          {"rstrip", token.rstrip}, {"normalized", token.normalized}, {"special", token.special}};
}

Json added_tokens_json(std::vector<AddedToken> tokens) {
  std::ranges::stable_sort(tokens, {}, &AddedToken::id);
  auto list = Json::array();
  for (const auto& token : tokens) list.push_back(added_token_json(token));
  return list;
}

Json truncation_json(const Truncation& t) {
  return {{"direction", t.left ? "Left" : "Right"},
          {"max_length", t.max_length},
          {"strategy", name_of(t.strategy, truncation_strategies)},
          {"stride", t.stride}};
}

Json padding_json(const Padding& p) {
  return {{"strategy", p.length > 0 ? Json{{"Fixed", p.length}} : Json("BatchLongest")},
          {"direction", p.left ? "Left" : "Right"},
          {"pad_to_multiple_of", p.pad_to_multiple_of > 0 ? Json(p.pad_to_multiple_of) : Json()},
          {"pad_id", p.pad_id},
          {"pad_type_id", p.pad_type_id},
          {"pad_token", p.pad_token}};
}

// The vocabulary with those added tokens that must be in it to keep their ids: readers give an added token that the model does not know the
// next id after the vocabulary's count.
std::vector<VocabEntry> written_vocab(const TokenizerSpec& spec) {
  std::unordered_set<std::string_view> texts;
  TokenId most = -1;
  for (const auto& entry : spec.vocab) {
    texts.insert(entry.piece);
    most = std::max(most, entry.id);
  }
  std::vector<VocabEntry> vocab = spec.vocab, after;
  for (const auto& token : spec.added_tokens) {
    if (texts.insert(token.content).second) (token.id < most ? vocab : after).push_back({token.content, token.id, 0});
  }
  std::ranges::sort(after, {}, &VocabEntry::id);
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i].id == static_cast<TokenId>(vocab.size() + i)) continue;
    vocab.insert(vocab.end(), after.begin(), after.end());
    break;
  }
  std::ranges::sort(vocab, {}, &VocabEntry::id);
  return vocab;
}

// A list by id. Text must not turn into the tokens that only hold a place: their score is the least.
Json unigram_json(const TokenizerSpec& spec) {
  double least = 0;
  std::unordered_set<TokenId> own;
  for (const auto& entry : spec.vocab) {
    least = std::min(least, entry.score);
    own.insert(entry.id);
  }
  auto vocab = Json::array();
  for (const auto& entry : written_vocab(spec)) {
    for (auto id = static_cast<TokenId>(vocab.size()); id < entry.id; ++id)
      vocab.push_back(Json::array({fmt::format("[PAD{}]", id), least}));
    vocab.push_back(Json::array({entry.piece, own.contains(entry.id) ? entry.score : least}));
  }
  return {{"type", "Unigram"},
          {"unk_id", spec.unk_id ? Json(*spec.unk_id) : Json()},
          {"vocab", std::move(vocab)},
          {"byte_fallback", spec.byte_fallback}};
}

Json merges_json(const TokenizerSpec& spec) {
  std::unordered_map<TokenId, const std::string*> by_id;
  by_id.reserve(spec.vocab.size());
  for (const auto& entry : spec.vocab) by_id[entry.id] = &entry.piece;
  auto merges = Json::array();
  for (const auto& merge : spec.merges) merges.push_back(Json::array({*by_id.at(merge.left), *by_id.at(merge.right)}));
  return merges;
}

Json model_json(const TokenizerSpec& spec) {
  using Model = TokenizerSpec::Model;
  if (spec.model == Model::unigram) return unigram_json(spec);
  // The object's own list is filled directly: its operator[] would search through all entries before each new one.
  Json vocab = Json::object();
  auto& pieces = vocab.get_ref<Json::object_t&>();
  for (auto& entry : written_vocab(spec)) pieces.push_back({std::move(entry.piece), Json(entry.id)});
  const auto unk = spec.unk_token ? Json(*spec.unk_token) : Json();
  if (spec.model == Model::wordlevel) return {{"type", "WordLevel"}, {"vocab", std::move(vocab)}, {"unk_token", unk}};
  if (spec.model == Model::wordpiece) {
    return {{"type", "WordPiece"},
            {"unk_token", unk},
            {"continuing_subword_prefix", spec.continuing_subword_prefix},
            {"max_input_chars_per_word", spec.max_input_chars_per_word},
            {"vocab", std::move(vocab)}};
  }
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unk},
          {"continuing_subword_prefix", or_null(spec.continuing_subword_prefix)},
          {"end_of_word_suffix", or_null(spec.end_of_word_suffix)},
          {"fuse_unk", spec.fuse_unk},
          {"byte_fallback", spec.byte_fallback},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", merges_json(spec)}};
}

}  // namespace

std::string to_tokenizer_json(const TokenizerSpec& spec) {
  Json json{{"version", "1.0"}};
  json["truncation"] = spec.truncation ? truncation_json(*spec.truncation) : Json();
  json["padding"] = spec.padding ? padding_json(*spec.padding) : Json();
  json["added_tokens"] = added_tokens_json(spec.added_tokens);
  json["normalizer"] = section_json(spec.normalizer, "normalizers");
  json["pre_tokenizer"] = section_json(spec.pre_tokenizer, "pretokenizers");
  json["post_processor"] = section_json(spec.post_processor, "processors");
  json["decoder"] =
      spec.has_decoder ? steps_json(spec.decoder, "decoders") : Json();  // none joins pieces with blanks, an empty one does not
  json["model"] = model_json(spec);
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tessera::text
