// Finds the tokenizer of a model on disk.

#include <fstream>
#include <iterator>

#include "tessera/base/error.h"
#include "tessera/text/gguf_vocab.h"
#include "tessera/text/sentencepiece.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

namespace fs = std::filesystem;

std::string whole_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open() || in.bad()) throw InputError("cannot read {}; check that it is a file and its permissions", path.string());
  return bytes;
}

// "bos_token": "<s>" or {"content": "<s>", ...}: its id, when the tokenizer has it.
std::optional<TokenId> role(const JsonNode& config, std::string_view key, const TokenizerSpec& spec) {
  const auto node = config.find(key);
  if (!node) return std::nullopt;
  const std::string text = node->is_object() ? node->at("content").string() : node->is_string() ? node->string() : "";
  for (const AddedToken& token : spec.added_tokens) {
    if (token.content == text) return token.id;
  }
  for (const VocabEntry& entry : spec.vocab) {
    if (entry.piece == text) return entry.id;
  }
  return std::nullopt;
}

// A template, or a list of named ones of which "default" counts.
void read_template(const JsonNode& config, TokenizerSpec& spec) {
  const auto node = config.find("chat_template");
  if (!node || spec.chat_template) return;
  if (node->is_string()) spec.chat_template = node->string();
  if (!node->is_array()) return;
  node->each_item([&](const JsonNode& item) {
    if (item.string("name", "") == "default") spec.chat_template = item.at("template").string();
  });
}

}  // namespace

void read_roles(const fs::path& folder, TokenizerSpec& spec) {
  if (fs::is_regular_file(folder / "chat_template.jinja")) spec.chat_template = whole_file(folder / "chat_template.jinja");
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path path = folder / name;
    if (!fs::is_regular_file(path)) continue;
    const std::string bytes = whole_file(path), source = path.string();
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (const auto error = parser.parse(bytes.data(), bytes.size(), true).get(root); error != simdjson::SUCCESS) {
      throw InputError("{}: not JSON: {}; copy the file again", source, simdjson::error_message(error));
    }
    const JsonNode config(root, "", source);
    const auto take = [&](std::optional<TokenId>& id, std::string_view key) {
      if (!id) id = role(config, key, spec);
    };
    take(spec.bos_id, "bos_token");
    take(spec.eos_id, "eos_token");
    take(spec.pad_id, "pad_token");
    take(spec.unk_role_id, "unk_token");
    read_template(config, spec);
  }
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& source) { return Tokenizer(parse_tokenizer_json(json, source)); }

Tokenizer Tokenizer::load(const fs::path& path) {
  fs::path file = path;
  if (fs::is_directory(path)) {
    file = path / "tokenizer.json";
    if (!fs::exists(file)) file = path / "tokenizer.model";
    if (!fs::exists(file)) {
      throw InputError("{} has no tokenizer: neither tokenizer.json nor tokenizer.model is in it; copy one there", path.string());
    }
  } else if (!fs::exists(path)) {
    throw InputError("{} does not exist; give a model folder, a tokenizer.json, a tokenizer.model or a .gguf file", path.string());
  }
  if (file.extension() == ".gguf") return load_gguf_vocab(file);
  if (file.extension() == ".model") return load_sentencepiece(file);
  TokenizerSpec spec = parse_tokenizer_json(whole_file(file), file.string());
  read_roles(file.parent_path(), spec);
  return Tokenizer(std::move(spec));
}

}  // namespace tessera::text
