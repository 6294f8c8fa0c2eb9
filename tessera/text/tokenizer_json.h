#pragma once
// Reads and writes tokenizer.json; reads the small files beside it.

#include <filesystem>
#include <string>
#include <string_view>

#include "tessera/text/json_node.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

// The spec that a tokenizer.json describes. Throws InputError naming `source` and the field.
TokenizerSpec parse_tokenizer_json(std::string_view json, const std::string& source);

// `spec` as the text of a tokenizer.json that Hugging Face `tokenizers` executes; read again it gives the same ids and texts. Roles and
// chat template are no part of it: tokenizer_config.json holds those.
std::string to_tokenizer_json(const TokenizerSpec& spec);

// Its steps and its model, each from its own section; nested sequences are flattened.
void parse_normalizer(const JsonNode& node, std::vector<NormalizerStep>& steps);
void parse_pre_tokenizer(const JsonNode& node, std::vector<PreTokenizerStep>& steps);
void parse_post_processor(const JsonNode& node, std::vector<PostProcessorStep>& steps);
void parse_decoder(const JsonNode& node, std::vector<DecoderStep>& steps);
void parse_vocab_model(const JsonNode& node, TokenizerSpec& spec);

// Roles (bos, eos, pad, unk) and chat template from tokenizer_config.json, special_tokens_map.json and chat_template.jinja in `folder`,
// where they exist. Throws InputError when one is broken.
void read_roles(const std::filesystem::path& folder, TokenizerSpec& spec);

}  // namespace tessera::text
