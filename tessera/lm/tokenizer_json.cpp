#include "tessera/base/error.h"
#include "tessera/lm/tokenizer_files.h"

// The inverse of text/tokenizer_json: every step under the name and the fields Hugging Face `tokenizers` gives it.
namespace tessera::lm {

static Json pattern_json(const text::Pattern& pattern) { return {{pattern.regex ? "Regex" : "String", pattern.text}}; }

static const char* scheme_json(text::PrependScheme scheme) {
  return scheme == text::PrependScheme::first ? "first" : scheme == text::PrependScheme::never ? "never" : "always";
}

static const char* behavior_json(text::SplitBehavior behavior) {
  switch (behavior) {
    case text::SplitBehavior::removed:
      return "Removed";
    case text::SplitBehavior::isolated:
      return "Isolated";
    case text::SplitBehavior::merged_with_previous:
      return "MergedWithPrevious";
    case text::SplitBehavior::merged_with_next:
      return "MergedWithNext";
    case text::SplitBehavior::contiguous:
      break;
  }
  return "Contiguous";
}

static std::string base64_json(const std::string& bytes) {
  static const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : digits[group >> (18 - 6 * j) & 63];
  }
  return text;
}

static Json step_json(const text::NormalizerStep& s) {
  using Kind = text::NormalizerStep::Kind;
  static const std::map<Kind, const char*> plain{{Kind::nfc, "NFC"},
                                                 {Kind::nfd, "NFD"},
                                                 {Kind::nfkc, "NFKC"},
                                                 {Kind::nfkd, "NFKD"},
                                                 {Kind::nmt, "Nmt"},
                                                 {Kind::byte_level, "ByteLevel"},
                                                 {Kind::lowercase, "Lowercase"},
                                                 {Kind::strip_accents, "StripAccents"}};
  if (const auto at = plain.find(s.kind); at != plain.end()) return {{"type", at->second}};
  if (s.kind == Kind::strip) return {{"type", "Strip"}, {"strip_left", s.left}, {"strip_right", s.right}};
  if (s.kind == Kind::replace) return {{"type", "Replace"}, {"pattern", pattern_json(s.pattern)}, {"content", s.content}};
  if (s.kind == Kind::prepend) return {{"type", "Prepend"}, {"prepend", s.content}};
  if (s.kind == Kind::precompiled) return {{"type", "Precompiled"}, {"precompiled_charsmap", base64_json(s.content)}};
  return {{"type", "BertNormalizer"},
          {"clean_text", s.clean_text},
          {"handle_chinese_chars", s.handle_chinese_chars},
          {"strip_accents", s.strip_accents ? Json(*s.strip_accents) : Json()},
          {"lowercase", s.lowercase_all}};
}

static Json step_json(const text::PreTokenizerStep& s) {
  using Kind = text::PreTokenizerStep::Kind;
  switch (s.kind) {
    case Kind::byte_level:
      return {{"type", "ByteLevel"}, {"add_prefix_space", s.add_prefix_space}, {"trim_offsets", true}, {"use_regex", s.use_regex}};
    case Kind::split:
      return {{"type", "Split"}, {"pattern", pattern_json(s.pattern)}, {"behavior", behavior_json(s.behavior)}, {"invert", s.invert}};
    case Kind::digits:
      return {{"type", "Digits"}, {"individual_digits", s.individual_digits}};
    case Kind::punctuation:
      return {{"type", "Punctuation"}, {"behavior", behavior_json(s.behavior)}};
    case Kind::whitespace:
      return {{"type", "Whitespace"}};
    case Kind::whitespace_split:
      return {{"type", "WhitespaceSplit"}};
    case Kind::metaspace:
      return {{"type", "Metaspace"}, {"replacement", s.replacement}, {"prepend_scheme", scheme_json(s.prepend_scheme)}, {"split", s.split}};
    case Kind::bert:
      return {{"type", "BertPreTokenizer"}};
    case Kind::char_delimiter:
      return {{"type", "CharDelimiterSplit"}, {"delimiter", s.replacement}};
    case Kind::unicode_scripts:
      return {{"type", "UnicodeScripts"}};
    case Kind::fixed_length:
      break;
  }
  return {{"type", "FixedLength"}, {"length", s.length}};
}

static Json template_json(const std::vector<text::TemplateItem>& items, Json& specials, const std::string& source) {
  auto list = Json::array();
  for (const auto& item : items) {
    if (item.kind != text::TemplateItem::Kind::special) {
      list.push_back({{"Sequence", {{"id", item.kind == text::TemplateItem::Kind::sequence_a ? "A" : "B"}, {"type_id", item.type_id}}}});
      continue;
    }
    if (item.pieces.empty()) throw InputError("{}: a special token of the template has no text", source);
    const auto& name = item.pieces.front();
    list.push_back({{"SpecialToken", {{"id", name}, {"type_id", item.type_id}}}});
    specials[name] = {{"id", name}, {"ids", item.ids}, {"tokens", item.pieces}};
  }
  return list;
}

static Json step_json(const text::PostProcessorStep& s, const std::string& source) {
  using Kind = text::PostProcessorStep::Kind;
  if (s.kind == Kind::byte_level) {
    return {{"type", "ByteLevel"}, {"add_prefix_space", s.add_prefix_space}, {"trim_offsets", s.trim_offsets}, {"use_regex", true}};
  }
  if (s.kind == Kind::template_processing) {
    Json specials = Json::object();
    auto single = template_json(s.single, specials, source), pair = template_json(s.pair, specials, source);
    return {
        {"type", "TemplateProcessing"}, {"single", std::move(single)}, {"pair", std::move(pair)}, {"special_tokens", std::move(specials)}};
  }
  Json json{{"type", s.kind == Kind::bert ? "BertProcessing" : "RobertaProcessing"}};
  json["sep"] = Json::array({s.sep, s.sep_id});
  json["cls"] = Json::array({s.cls, s.cls_id});
  if (s.kind == Kind::roberta) json.update(Json{{"trim_offsets", s.trim_offsets}, {"add_prefix_space", s.add_prefix_space}});
  return json;
}

static Json step_json(const text::DecoderStep& s) {
  using Kind = text::DecoderStep::Kind;
  switch (s.kind) {
    case Kind::byte_level:
      return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
    case Kind::metaspace:
      return {{"type", "Metaspace"}, {"replacement", s.replacement}, {"prepend_scheme", scheme_json(s.prepend_scheme)}, {"split", true}};
    case Kind::wordpiece:
      return {{"type", "WordPiece"}, {"prefix", s.content}, {"cleanup", s.cleanup}};
    case Kind::bpe:
      return {{"type", "BPEDecoder"}, {"suffix", s.content}};
    case Kind::byte_fallback:
      return {{"type", "ByteFallback"}};
    case Kind::fuse:
      return {{"type", "Fuse"}};
    case Kind::strip:
      return {{"type", "Strip"}, {"content", s.content}, {"start", s.start}, {"stop", s.stop}};
    case Kind::replace:
      return {{"type", "Replace"}, {"pattern", pattern_json(s.pattern)}, {"content", s.content}};
    case Kind::ctc:
      break;
  }
  return {{"type", "CTC"}, {"pad_token", s.pad_token}, {"word_delimiter_token", s.word_delimiter}, {"cleanup", s.cleanup}};
}

// null, the step, or a Sequence of them under the key that this section uses.
template <class Steps, class Write>
static Json steps_json(const Steps& steps, const char* key, const Write& write) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return write(steps[0]);
  auto list = Json::array();
  for (const auto& step : steps) list.push_back(write(step));
  return {{"type", "Sequence"}, {key, std::move(list)}};
}

static Json vocab_model_json(const text::TokenizerSpec& spec) {
  using Model = text::TokenizerSpec::Model;
  if (spec.model == Model::unigram) {
    auto vocab = Json::array();
    for (const auto& entry : spec.vocab) vocab.push_back(Json::array({entry.piece, entry.score}));
    return {{"type", "Unigram"},
            {"unk_id", spec.unk_id ? Json(*spec.unk_id) : Json()},
            {"vocab", std::move(vocab)},
            {"byte_fallback", spec.byte_fallback}};
  }
  // The object's own list is filled directly: its operator[] would search through all entries before each new one.
  Json vocab = Json::object();
  auto& pieces = vocab.get_ref<Json::object_t&>();
  std::unordered_map<text::TokenId, const std::string*> by_id;
  for (const auto& entry : spec.vocab) {
    pieces.push_back({entry.piece, Json(entry.id)});
    by_id[entry.id] = &entry.piece;
  }
  const auto unk = spec.unk_token ? Json(*spec.unk_token) : Json();
  if (spec.model == Model::wordpiece) {
    return {{"type", "WordPiece"},
            {"unk_token", unk},
            {"continuing_subword_prefix", spec.continuing_subword_prefix},
            {"max_input_chars_per_word", spec.max_input_chars_per_word},
            {"vocab", std::move(vocab)}};
  }
  if (spec.model == Model::wordlevel) return {{"type", "WordLevel"}, {"vocab", std::move(vocab)}, {"unk_token", unk}};
  auto merges = Json::array();
  for (const auto& merge : spec.merges) merges.push_back(Json::array({*by_id.at(merge.left), *by_id.at(merge.right)}));
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
          {"merges", std::move(merges)}};
}

Json tokenizer_json(const text::TokenizerSpec& spec) {
  Json json{{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  auto& added = json["added_tokens"] = Json::array();
  auto tokens = spec.added_tokens;
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (const auto& token : tokens) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  const auto write = [](const auto& step) { return step_json(step); };
  json["normalizer"] = steps_json(spec.normalizer, "normalizers", write);
  json["pre_tokenizer"] = steps_json(spec.pre_tokenizer, "pretokenizers", write);
  json["post_processor"] = steps_json(spec.post_processor, "processors", [&](const auto& step) { return step_json(step, spec.source); });
  json["decoder"] = spec.has_decoder ? steps_json(spec.decoder, "decoders", write) : Json();
  json["model"] = vocab_model_json(spec);
  return json;
}

}  // namespace tessera::lm
