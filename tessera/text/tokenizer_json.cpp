#include "tessera/text/tokenizer_json.h"

#include <limits>
#include <map>

#include "tessera/base/error.h"
#include "tessera/text/tokenizer_json_names.h"

namespace tessera::text {

namespace {

constexpr int64_t greatest_length = 1'000'000'000;
constexpr int64_t longest_padding = 1 << 20;  // tokens

// The ids are those that the reference gives: the model's own id of the text, or the next free one after the vocabulary.
void parse_added_tokens(const JsonNode& list, TokenizerSpec& spec) {
  std::map<std::string, TokenId, std::less<>> by_text;
  for (const VocabEntry& entry : spec.vocab) by_text.emplace(entry.piece, entry.id);
  auto next = static_cast<TokenId>(by_text.size());
  std::map<std::string, size_t, std::less<>> place;  // in spec.added_tokens
  list.each_item([&](const JsonNode& item) {
    AddedToken token;
    item.at("id").integer(0, std::numeric_limits<uint32_t>::max());
    token.content = item.at("content").string();
    token.special = item.boolean("special", false);
    token.normalized = item.boolean("normalized", !token.special);
    token.single_word = item.boolean("single_word", false);
    token.lstrip = item.boolean("lstrip", false);
    token.rstrip = item.boolean("rstrip", false);
    if (token.content.empty()) return;
    const auto [it, fresh] = by_text.emplace(token.content, next);
    if (fresh) ++next;
    token.id = it->second;
    const auto [where, first] = place.emplace(token.content, spec.added_tokens.size());
    if (first) {
      spec.added_tokens.push_back(std::move(token));
    } else {
      spec.added_tokens[where->second] = std::move(token);
    }
  });
}

Truncation parse_truncation(const JsonNode& node) {
  Truncation truncation;
  truncation.max_length = node.at("max_length").integer(0, greatest_length);
  if (const auto stride = node.find("stride")) truncation.stride = stride->integer(0, greatest_length);
  truncation.left = node.string("direction", "Right") == "Left";
  if (const auto strategy = node.find("strategy")) truncation.strategy = named(*strategy, truncation_strategies);
  return truncation;
}

Padding parse_padding(const JsonNode& node) {
  Padding padding;
  if (const auto strategy = node.find("strategy"); strategy && strategy->is_object()) {
    padding.length = strategy->at("Fixed").integer(0, longest_padding);
  }
  if (const auto multiple = node.find("pad_to_multiple_of")) padding.pad_to_multiple_of = multiple->integer(0, longest_padding);
  padding.left = node.string("direction", "Right") == "Left";
  padding.pad_id = static_cast<TokenId>(node.at("pad_id").integer(0, std::numeric_limits<TokenId>::max()));
  if (const auto type = node.find("pad_type_id"))
    padding.pad_type_id = static_cast<int32_t>(type->integer(0, std::numeric_limits<int32_t>::max()));
  padding.pad_token = node.string("pad_token", "[PAD]");
  return padding;
}

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view json, const std::string& source) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(json.data(), json.size(), true).get(root); error != simdjson::SUCCESS) {
    throw InputError("{}: not JSON: {}; copy the file again", source, simdjson::error_message(error));
  }
  const JsonNode document(root, "", source);
  TokenizerSpec spec;
  spec.source = source;
  if (const auto version = document.find("version"); version && version->string() != "1.0") version->refuse("\"1.0\"");
  parse_vocab_model(document.at("model"), spec);
  if (const auto node = document.find("added_tokens")) parse_added_tokens(*node, spec);
  if (const auto node = document.find("normalizer")) parse_normalizer(*node, spec.normalizer);
  if (const auto node = document.find("pre_tokenizer")) parse_pre_tokenizer(*node, spec.pre_tokenizer);
  if (const auto node = document.find("post_processor")) parse_post_processor(*node, spec.post_processor);
  if (const auto node = document.find("decoder")) {
    parse_decoder(*node, spec.decoder);
    spec.has_decoder = true;
  }
  if (const auto node = document.find("truncation")) spec.truncation = parse_truncation(*node);
  if (const auto node = document.find("padding")) spec.padding = parse_padding(*node);
  return spec;
}

}  // namespace tessera::text
