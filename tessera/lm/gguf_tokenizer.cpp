#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/tokenizer_files.h"
#include "tessera/tensor/gguf.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/tokenizer_json.h"

// A tokenizer as the metadata llama.cpp reads: "gpt2" (byte-level BPE with the name of its splitting rule) or "llama" (SentencePiece BPE).
namespace tessera::lm {

namespace fs = std::filesystem;

// GGUF's numbers for kinds of tokens.
enum class GgufToken : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

void write_tokenizer_files(const fs::path& gguf, const Json& config, const fs::path& folder) {
  const auto tokenizer = text::Tokenizer::load(gguf);
  const auto& spec = tokenizer.spec();
  write_file(folder / "tokenizer.json", text::to_tokenizer_json(spec) + "\n");
  Json roles{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  const auto role = [&](const char* name, const std::optional<text::TokenId>& id) {
    if (const auto piece = id ? tokenizer.piece(*id) : std::nullopt) roles[name] = *piece;
  };
  role("bos_token", spec.bos_id);
  role("eos_token", spec.eos_id);
  role("pad_token", spec.pad_id);
  role("unk_token", spec.unk_role_id);
  if (spec.chat_template) roles["chat_template"] = *spec.chat_template;
  write_file(folder / "tokenizer_config.json", roles.dump(2) + "\n");
  Json generation{{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.contains(key)) generation[key] = config[key];
  }
  write_file(folder / "generation_config.json", generation.dump(2) + "\n");
}

// llama.cpp's name of the rule by which a byte-level tokenizer splits text: known by the expressions it runs.
static std::string gguf_splitting(const text::TokenizerSpec& spec) {
  using Kind = text::PreTokenizerStep::Kind;
  std::string rules;  // what distinguishes the steps, in their order
  for (const auto& step : spec.pre_tokenizer) {
    if (step.kind == Kind::digits) rules += step.individual_digits ? "[digit]" : "[digits]";
    if (step.kind == Kind::split) rules += step.pattern.text;
    if (step.kind == Kind::byte_level && step.use_regex) rules += "[gpt2]";
  }
  const std::string words = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
  const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::map<std::string, std::string> known{
      {"[gpt2]", "gpt-2"}, {"[digit][gpt2]", "smollm"}, {words + "{1,3}" + rest, "llama-bpe"}, {words + rest, "qwen2"}};
  if (const auto at = known.find(rules); at != known.end()) return at->second;
  throw InputError("GGUF has no name for the way this tokenizer splits text ({}); write a folder instead", tessera::quoted(rules, 100));
}

// Pieces by id, holes filled with names that no text holds, and the kind of each.
struct GgufVocab {
  std::vector<std::string> pieces;
  std::vector<int32_t> kinds;
  std::vector<float> scores;
};

static GgufVocab gguf_vocab(const text::Tokenizer& tokenizer, const Json& config, bool sentencepiece) {
  const auto& spec = tokenizer.spec();
  const auto size = std::max<int64_t>(tokenizer.size(), config.value("vocab_size", int64_t{0}));
  GgufVocab vocab;
  for (int64_t id = 0; id < size; ++id) vocab.pieces.push_back(fmt::format("[PAD{}]", id));
  vocab.kinds.assign(size, static_cast<int32_t>(GgufToken::unused));
  vocab.scores.assign(size, 0.0F);
  for (const auto& entry : spec.vocab) {
    vocab.pieces[entry.id] = entry.piece;
    const bool byte = sentencepiece && entry.piece.size() == 6 && entry.piece.starts_with("<0x") && entry.piece.ends_with(">");
    vocab.kinds[entry.id] = static_cast<int32_t>(byte ? GgufToken::byte : GgufToken::normal);
    vocab.scores[entry.id] = static_cast<float>(entry.score);
  }
  for (const auto& token : spec.added_tokens) {
    vocab.pieces[token.id] = token.content;
    vocab.kinds[token.id] = static_cast<int32_t>(token.special ? GgufToken::control : GgufToken::user_defined);
  }
  if (sentencepiece) {  // SentencePiece merges by score: an earlier merge scores higher
    for (size_t rank = spec.merges.size(); rank-- > 0;) vocab.scores[spec.merges[rank].merged] = -static_cast<float>(rank);
    if (spec.unk_token) {
      if (const auto unk = tokenizer.id(*spec.unk_token)) vocab.kinds[*unk] = static_cast<int32_t>(GgufToken::unknown);
    }
  }
  return vocab;
}

static void copy_gguf_tokenizer(const fs::path& source, tensor::GgufWriter& writer) {
  const auto file = tensor::GgufFile::open(source);
  for (const auto& key : file.keys()) {
    if (key.starts_with("tokenizer.")) writer.copy(key, file.value(key));
  }
}

void write_gguf_tokenizer(const fs::path& source, const Json& config, tensor::GgufWriter& writer) {
  if (!fs::is_directory(source)) return copy_gguf_tokenizer(source, writer);
  if (!fs::is_regular_file(source / "tokenizer.json") && !fs::is_regular_file(source / "tokenizer.model")) return;
  const auto tokenizer = text::Tokenizer::load(source);
  const auto& spec = tokenizer.spec();
  if (spec.model != text::TokenizerSpec::Model::bpe) {
    throw InputError("{}: GGUF language models hold BPE vocabularies, this one is of another kind; write a folder instead",
                     source.string());
  }
  const bool sentencepiece = spec.byte_fallback;
  const auto vocab = gguf_vocab(tokenizer, config, sentencepiece);
  writer.set("tokenizer.ggml.model", sentencepiece ? "llama" : "gpt2");
  writer.set("tokenizer.ggml.pre", sentencepiece ? "default" : gguf_splitting(spec));
  writer.set("tokenizer.ggml.tokens", vocab.pieces);
  if (sentencepiece) writer.set("tokenizer.ggml.scores", vocab.scores);
  writer.set("tokenizer.ggml.token_type", vocab.kinds);
  if (!sentencepiece) {
    std::vector<std::string> merges;
    for (const auto& merge : spec.merges) merges.push_back(vocab.pieces[merge.left] + " " + vocab.pieces[merge.right]);
    writer.set("tokenizer.ggml.merges", merges);
  } else {
    const auto pieces = tokenizer.encode("a", {.add_special_tokens = false}).pieces;
    writer.set("tokenizer.ggml.add_space_prefix", !pieces.empty() && pieces.front().starts_with("\u2581"));
  }
  const auto role = [&](const char* name, const std::optional<text::TokenId>& id) {
    if (id) writer.set_u32(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(*id));
  };
  role("bos", spec.bos_id);
  role("eos", spec.eos_id);
  role("padding", spec.pad_id);
  const auto with = tokenizer.encode_ids("a"), without = tokenizer.encode_ids("a", {.add_special_tokens = false});
  writer.set("tokenizer.ggml.add_bos_token", with.size() > without.size() && spec.bos_id && with.front() == *spec.bos_id);
  writer.set("tokenizer.ggml.add_eos_token", with.size() > without.size() && spec.eos_id && with.back() == *spec.eos_id);
  if (spec.chat_template) writer.set("tokenizer.chat_template", *spec.chat_template);
}

}  // namespace tessera::lm
