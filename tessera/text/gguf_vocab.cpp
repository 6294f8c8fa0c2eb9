#include "tessera/text/gguf_vocab.h"

#include <algorithm>
#include <unordered_map>

#include "tessera/base/error.h"
#include "tessera/text/sentencepiece.h"

namespace tessera::text {
namespace {

// How a byte-level model cuts text into words. The names are those of tokenizer.ggml.pre.
struct WordRule {
  std::vector<std::string_view> names = {};
  std::vector<std::string_view> patterns = {};  // split one after the other; none: GPT-2's own rule
  bool single_digits = false;                   // before GPT-2's rule
  bool nfc = false, whole_words_first = false, add_bos = false;
};

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::vector<WordRule>& word_rules() {
  static const std::vector<WordRule> rules = {
      {.names = {"default", "gpt-2", "gpt2", "olmo", "phi-2", "mpt", "jais", "roberta-bpe"}, .patterns = {}},
      {.names = {"smollm", "starcoder", "refact", "command-r", "exaone", "codeshell"}, .patterns = {}, .single_digits = true},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"},
       .patterns = {kLlama3},
       .whole_words_first = true,
       .add_bos = true},
      {.names = {"dbrx", "smaug-bpe", "chatglm-bpe"}, .patterns = {kLlama3}},
      {.names = {"qwen2", "deepseek-r1-qwen", "megrez"}, .patterns = {kQwen2}, .nfc = true},
      {.names = {"stablelm2"}, .patterns = {kQwen2}},
      {.names = {"tekken"}, .patterns = {kTekken}, .whole_words_first = true, .add_bos = true},
      {.names = {"gpt-4o", "llama4"}, .patterns = {kGpt4o}}};
  return rules;
}

const WordRule& rule_of(const std::string& name, const std::string& source) {
  std::string known;
  for (const WordRule& rule : word_rules()) {
    if (std::find(rule.names.begin(), rule.names.end(), name) != rule.names.end()) return rule;
    for (const std::string_view other : rule.names) (known += known.empty() ? "" : ", ") += other;
  }
  throw InputError("{}: tokenizer.ggml.pre is \"{}\"; expected one of {}; use the model's tokenizer.json instead", source,
                   tessera::quoted(name), known);
}

// The lists of a vocabulary, of equal length.
struct GgufPieces {
  std::vector<std::string_view> texts;
  std::vector<double> scores;    // zeros when the file has none
  std::vector<PieceType> types;  // normal when the file has none
};

GgufPieces read_pieces(const tensor::GgufFile& file, const std::string& source) {
  GgufPieces pieces;
  pieces.texts = file.strings("tokenizer.ggml.tokens");
  const size_t size = pieces.texts.size();
  pieces.scores.assign(size, 0);
  pieces.types.assign(size, PieceType::normal);
  const auto check = [&](size_t count, std::string_view key) {
    if (count != size) throw InputError("{}: {} has {} entries for {} tokens; convert the model again", source, key, count, size);
  };
  if (file.has("tokenizer.ggml.scores")) {
    pieces.scores = file.f64s("tokenizer.ggml.scores");
    check(pieces.scores.size(), "tokenizer.ggml.scores");
  }
  if (file.has("tokenizer.ggml.token_type")) {
    const auto types = file.i64s("tokenizer.ggml.token_type");
    check(types.size(), "tokenizer.ggml.token_type");
    for (size_t i = 0; i < size; ++i) {
      if (types[i] < 1 || types[i] > 6)
        throw InputError("{}: token {} has type {}, expected 1 to 6; convert the model again", source, i, types[i]);
      pieces.types[i] = static_cast<PieceType>(types[i]);
    }
  }
  return pieces;
}

bool flag(const tensor::GgufFile& file, const char* key, bool fallback) { return file.has(key) ? file.boolean(key) : fallback; }

std::optional<TokenId> token_role(const tensor::GgufFile& file, const char* key, size_t size) {
  if (!file.has(key)) return std::nullopt;
  const auto id = file.i64(key);  // -1 and 2^32 - 1 both mean none in files found in the wild
  return id >= 0 && static_cast<uint64_t>(id) < size ? std::optional(static_cast<TokenId>(id)) : std::nullopt;
}

void add_tokens(const GgufPieces& pieces, TokenizerSpec& spec) {
  for (size_t i = 0; i < pieces.texts.size(); ++i) {
    const bool control = pieces.types[i] == PieceType::control || pieces.types[i] == PieceType::unknown;
    if (!control && pieces.types[i] != PieceType::user_defined) continue;
    AddedToken& added = spec.added_tokens.emplace_back();
    added.content = pieces.texts[i];
    added.id = static_cast<TokenId>(i);
    added.special = control;
  }
}

void add_merges(const tensor::GgufFile& file, const GgufPieces& pieces, TokenizerSpec& spec) {
  std::unordered_map<std::string_view, TokenId> ids;
  for (size_t i = 0; i < pieces.texts.size(); ++i) ids.emplace(pieces.texts[i], static_cast<TokenId>(i));
  std::string joined;
  for (const std::string_view merge : file.strings("tokenizer.ggml.merges")) {
    const size_t blank = merge.find(' ', 1);
    const auto fail = [&](std::string_view what) {
      throw InputError("{}: the merge \"{}\" {}; convert the model again", spec.source, tessera::quoted(merge), what);
    };
    if (blank == std::string_view::npos) fail("has no blank between its halves");
    const auto left = ids.find(merge.substr(0, blank)), right = ids.find(merge.substr(blank + 1));
    if (left == ids.end() || right == ids.end()) fail("names a piece that is not in the vocabulary");
    joined.assign(left->first).append(right->first);
    const auto merged = ids.find(joined);
    if (merged == ids.end()) fail("makes a piece that is not in the vocabulary");
    spec.merges.push_back({left->second, right->second, merged->second});
  }
}

TokenizerSpec byte_level_spec(const tensor::GgufFile& file, const GgufPieces& pieces, const std::string& source) {
  const WordRule& rule = rule_of(file.has("tokenizer.ggml.pre") ? file.string("tokenizer.ggml.pre") : "default", source);
  TokenizerSpec spec;
  spec.source = source;
  spec.ignore_merges = rule.whole_words_first;
  for (size_t i = 0; i < pieces.texts.size(); ++i) spec.vocab.push_back({std::string(pieces.texts[i]), static_cast<TokenId>(i), 0});
  add_merges(file, pieces, spec);
  add_tokens(pieces, spec);
  if (rule.nfc) spec.normalizer.emplace_back().kind = NormalizerStep::Kind::nfc;
  if (rule.single_digits) {
    PreTokenizerStep& digits = spec.pre_tokenizer.emplace_back();
    digits.kind = PreTokenizerStep::Kind::digits;
    digits.individual_digits = true;
  }
  for (const std::string_view pattern : rule.patterns) {
    PreTokenizerStep& split = spec.pre_tokenizer.emplace_back();
    split.kind = PreTokenizerStep::Kind::split;
    split.pattern = {std::string(pattern), true};
  }
  PreTokenizerStep& bytes = spec.pre_tokenizer.emplace_back();
  bytes.kind = PreTokenizerStep::Kind::byte_level;
  bytes.add_prefix_space = flag(file, "tokenizer.ggml.add_space_prefix", false);
  bytes.use_regex = rule.patterns.empty();
  spec.decoder.emplace_back().kind = DecoderStep::Kind::byte_level;
  spec.has_decoder = true;
  return spec;
}

TokenizerSpec sentencepiece_like(const tensor::GgufFile& file, const GgufPieces& pieces, const std::string& source, bool bpe) {
  SentencePieceModel model;
  model.source = source;
  model.bpe = bpe;
  model.add_dummy_prefix = flag(file, "tokenizer.ggml.add_space_prefix", true);
  model.remove_extra_whitespaces = flag(file, "tokenizer.ggml.remove_extra_whitespaces", false);
  for (size_t i = 0; i < pieces.texts.size(); ++i) {
    model.pieces.push_back({std::string(pieces.texts[i]), pieces.scores[i], pieces.types[i]});
    model.byte_fallback |= pieces.types[i] == PieceType::byte;
  }
  if (file.has("tokenizer.ggml.precompiled_charsmap")) {
    for (const int64_t byte : file.i64s("tokenizer.ggml.precompiled_charsmap")) model.charsmap += static_cast<char>(byte);
  }
  TokenizerSpec spec = sentencepiece_spec(std::move(model));
  spec.bos_id = spec.eos_id = spec.pad_id = spec.unk_role_id = std::nullopt;  // the header says them
  return spec;
}

// llama.cpp keeps WordPiece pieces with U+2581 at the start of a word and without the ## inside one.
TokenizerSpec wordpiece_spec(const tensor::GgufFile& file, const GgufPieces& pieces, const std::string& source) {
  constexpr std::string_view mark = "\u2581";
  TokenizerSpec spec;
  spec.source = source;
  spec.model = TokenizerSpec::Model::wordpiece;
  spec.continuing_subword_prefix = "##";
  const auto unknown = token_role(file, "tokenizer.ggml.unknown_token_id", pieces.texts.size());
  for (size_t i = 0; i < pieces.texts.size(); ++i) {
    const std::string_view text = pieces.texts[i];
    const bool plain = pieces.types[i] != PieceType::normal;
    std::string piece(plain ? text : text.starts_with(mark) ? text.substr(mark.size()) : "##" + std::string(text));
    if (unknown && static_cast<size_t>(*unknown) == i) spec.unk_token = piece;
    spec.vocab.push_back({std::move(piece), static_cast<TokenId>(i), 0});
  }
  add_tokens(pieces, spec);
  spec.normalizer.emplace_back().kind = NormalizerStep::Kind::bert;
  spec.pre_tokenizer.emplace_back().kind = PreTokenizerStep::Kind::bert;
  spec.decoder.emplace_back().kind = DecoderStep::Kind::wordpiece;
  spec.decoder.back().content = "##";
  spec.has_decoder = true;
  return spec;
}

}  // namespace

TokenizerSpec gguf_vocab_spec(const tensor::GgufFile& file, const std::string& source) {
  const std::string model = file.string("tokenizer.ggml.model");
  const GgufPieces pieces = read_pieces(file, source);
  if (pieces.texts.empty()) throw InputError("{}: tokenizer.ggml.tokens is empty; convert the model again", source);
  TokenizerSpec spec;
  bool add_bos = false, add_eos = false;
  if (model == "gpt2") {
    spec = byte_level_spec(file, pieces, source);
    add_bos = rule_of(file.has("tokenizer.ggml.pre") ? file.string("tokenizer.ggml.pre") : "default", source).add_bos;
  } else if (model == "llama" || model == "t5") {
    spec = sentencepiece_like(file, pieces, source, model == "llama");
    add_bos = model == "llama";
    add_eos = model == "t5";
  } else if (model == "bert") {
    spec = wordpiece_spec(file, pieces, source);
    add_bos = add_eos = true;
  } else {
    throw InputError("{}: tokenizer.ggml.model is \"{}\"; expected gpt2, llama, t5 or bert", source, tessera::quoted(model));
  }
  const size_t size = pieces.texts.size();
  spec.bos_id = token_role(file, "tokenizer.ggml.bos_token_id", size);
  spec.eos_id = token_role(file, "tokenizer.ggml.eos_token_id", size);
  if (!spec.eos_id && model == "bert") spec.eos_id = token_role(file, "tokenizer.ggml.seperator_token_id", size);  // the key is spelled so
  spec.pad_id = token_role(file, "tokenizer.ggml.padding_token_id", size);
  spec.unk_role_id = token_role(file, "tokenizer.ggml.unknown_token_id", size);
  add_bos_and_eos(spec, flag(file, "tokenizer.ggml.add_bos_token", add_bos), flag(file, "tokenizer.ggml.add_eos_token", add_eos));
  if (file.has("tokenizer.chat_template")) spec.chat_template = file.string("tokenizer.chat_template");
  return spec;
}

Tokenizer load_gguf_vocab(const std::filesystem::path& path) {
  return Tokenizer(gguf_vocab_spec(tensor::GgufFile::open(path), path.string()));
}

}  // namespace tessera::text
