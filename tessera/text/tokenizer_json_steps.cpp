// The sections of tokenizer.json around the model.

#include <limits>
#include <span>

#include "tessera/base/error.h"
#include "tessera/text/base64.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/tokenizer_json_names.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

// {"String": text} or {"Regex": pattern}.
Pattern parse_pattern(const JsonNode& node) {
  if (const auto text = node.find("String")) return {text->string(), false};
  return {node.at("Regex").string(), true};
}

std::string one_character(const JsonNode& node) {
  std::string text = node.string();
  if (text.empty() || !valid_utf8(text) || char_length(text[0]) != text.size()) node.refuse("one character");
  return text;
}

PrependScheme parse_scheme(const JsonNode& node) {
  const auto scheme = node.find("prepend_scheme");
  const auto prefix = node.find("add_prefix_space");
  if (prefix && !prefix->boolean()) {
    if (scheme && named(*scheme, schemes) != PrependScheme::never) prefix->refuse("what prepend_scheme says");
    return PrependScheme::never;
  }
  return scheme ? named(*scheme, schemes) : PrependScheme::always;
}

using N = NormalizerStep::Kind;
using P = PreTokenizerStep::Kind;
using D = DecoderStep::Kind;
using O = PostProcessorStep::Kind;

// True when the node is a Sequence, whose steps under `key` have then been parsed.
template <class Parse>
bool parse_sequence(const JsonNode& node, std::string_view key, Parse parse) {
  if (node.at("type").string() != "Sequence") return false;
  node.at(key).each_item(parse);
  return true;
}

TokenId parse_id(const JsonNode& node) { return static_cast<TokenId>(node.integer(0, std::numeric_limits<TokenId>::max())); }

// [piece, id]
void parse_token(const JsonNode& node, std::string& piece, TokenId& id) {
  const auto items = node.array();
  if (items.size() != 2) node.refuse_as("a list of another length than 2", "[token, id]");
  size_t i = 0;
  node.each_item([&](const JsonNode& item) {
    if (i++ == 0) {
      piece = item.string();
    } else {
      id = parse_id(item);
    }
  });
}

void parse_template(const JsonNode& node, const std::optional<JsonNode>& specials, std::vector<TemplateItem>& items) {
  node.each_item([&](const JsonNode& entry) {
    TemplateItem item;
    const auto sequence = entry.find("Sequence");
    const JsonNode body = sequence ? *sequence : entry.at("SpecialToken");
    item.type_id = static_cast<int32_t>(body.at("type_id").integer(0, std::numeric_limits<int32_t>::max()));
    const std::string name = body.at("id").string();
    if (sequence) {
      if (name != "A" && name != "B") body.at("id").refuse("A or B");
      item.kind = name == "A" ? TemplateItem::Kind::sequence_a : TemplateItem::Kind::sequence_b;
    } else {
      item.kind = TemplateItem::Kind::special;
      const auto special = specials ? specials->find(name) : std::nullopt;
      if (!special) body.at("id").refuse("a name in special_tokens");
      special->at("ids").each_item([&](const JsonNode& id) { item.ids.push_back(parse_id(id)); });
      special->at("tokens").each_item([&](const JsonNode& piece) { item.pieces.push_back(piece.string()); });
      if (item.ids.size() != item.pieces.size()) special->refuse_as("one with more ids than tokens or fewer", "as many ids as tokens");
    }
    items.push_back(std::move(item));
  });
}

void check_template(const JsonNode& node, const PostProcessorStep& step) {
  const auto uses = [](const std::vector<TemplateItem>& items, TemplateItem::Kind kind) {
    for (const TemplateItem& item : items) {
      if (item.kind == kind) return true;
    }
    return false;
  };
  if (uses(step.single, TemplateItem::Kind::sequence_b)) node.at("single").refuse_as("one that uses the second text", "only the first");
  if (!step.pair.empty() && !(uses(step.pair, TemplateItem::Kind::sequence_a) && uses(step.pair, TemplateItem::Kind::sequence_b))) {
    node.at("pair").refuse_as("one without both texts", "both");
  }
}

}  // namespace

void parse_normalizer(const JsonNode& node, std::vector<NormalizerStep>& steps) {
  if (parse_sequence(node, "normalizers", [&](const JsonNode& inner) { parse_normalizer(inner, steps); })) return;
  NormalizerStep step;
  step.kind = named(node.at("type"), normalizer_kinds);
  if (step.kind == N::strip) {
    step.left = node.at("strip_left").boolean();
    step.right = node.at("strip_right").boolean();
  } else if (step.kind == N::replace) {
    step.pattern = parse_pattern(node.at("pattern"));
    step.content = node.at("content").string();
  } else if (step.kind == N::prepend) {
    step.content = node.at("prepend").string();
  } else if (step.kind == N::bert) {
    step.clean_text = node.boolean("clean_text", true);
    step.handle_chinese_chars = node.boolean("handle_chinese_chars", true);
    step.lowercase_all = node.boolean("lowercase", true);
    if (const auto accents = node.find("strip_accents")) step.strip_accents = accents->boolean();
  } else if (step.kind == N::precompiled) {
    const auto map = node.find("precompiled_charsmap");
    const auto bytes = from_base64(map ? map->string() : "");
    if (!bytes) map->refuse_as("not base64", "base64");
    step.content = *bytes;
  }
  steps.push_back(std::move(step));
}

void parse_pre_tokenizer(const JsonNode& node, std::vector<PreTokenizerStep>& steps) {
  if (parse_sequence(node, "pretokenizers", [&](const JsonNode& inner) { parse_pre_tokenizer(inner, steps); })) return;
  PreTokenizerStep step;
  step.kind = named(node.at("type"), pre_tokenizer_kinds);
  if (step.kind == P::byte_level) {
    step.add_prefix_space = node.boolean("add_prefix_space", true);
    step.use_regex = node.boolean("use_regex", true);
  } else if (step.kind == P::split) {
    step.pattern = parse_pattern(node.at("pattern"));
    step.behavior = named(node.at("behavior"), behaviors);
    step.invert = node.boolean("invert", false);
  } else if (step.kind == P::digits) {
    step.individual_digits = node.boolean("individual_digits", false);
  } else if (step.kind == P::punctuation) {
    if (const auto behavior = node.find("behavior")) step.behavior = named(*behavior, behaviors);
  } else if (step.kind == P::metaspace) {
    step.replacement = one_character(node.at("replacement"));
    step.prepend_scheme = parse_scheme(node);
    step.split = node.boolean("split", true);
  } else if (step.kind == P::char_delimiter) {
    step.replacement = one_character(node.at("delimiter"));
  } else if (step.kind == P::fixed_length) {
    if (const auto length = node.find("length")) step.length = length->integer(1, 1'000'000'000);
  }
  steps.push_back(std::move(step));
}

void parse_post_processor(const JsonNode& node, std::vector<PostProcessorStep>& steps) {
  if (parse_sequence(node, "processors", [&](const JsonNode& inner) { parse_post_processor(inner, steps); })) return;
  PostProcessorStep step;
  step.kind = named(node.at("type"), post_processor_kinds);
  if (step.kind == O::template_processing) {
    const auto specials = node.find("special_tokens");
    parse_template(node.at("single"), specials, step.single);
    parse_template(node.at("pair"), specials, step.pair);
    check_template(node, step);
    for (const PostProcessorStep& before : steps) {
      if (before.kind == O::template_processing) node.refuse_as("a second template", "one");
    }
  } else {
    step.trim_offsets = node.boolean("trim_offsets", true);
    step.add_prefix_space = node.boolean("add_prefix_space", true);
    if (step.kind != O::byte_level) {
      parse_token(node.at("sep"), step.sep, step.sep_id);
      parse_token(node.at("cls"), step.cls, step.cls_id);
    }
  }
  steps.push_back(std::move(step));
}

void parse_decoder(const JsonNode& node, std::vector<DecoderStep>& steps) {
  if (parse_sequence(node, "decoders", [&](const JsonNode& inner) { parse_decoder(inner, steps); })) return;
  DecoderStep step;
  step.kind = named(node.at("type"), decoder_kinds);
  if (step.kind == D::metaspace) {
    step.replacement = one_character(node.at("replacement"));
    step.prepend_scheme = parse_scheme(node);
  } else if (step.kind == D::wordpiece) {
    step.content = node.string("prefix", "##");
    step.cleanup = node.boolean("cleanup", true);
  } else if (step.kind == D::bpe) {
    step.content = node.string("suffix", "</w>");
  } else if (step.kind == D::strip) {
    step.content = one_character(node.at("content"));
    step.start = node.at("start").integer(0, 1'000'000'000);
    step.stop = node.at("stop").integer(0, 1'000'000'000);
  } else if (step.kind == D::replace) {
    step.pattern = parse_pattern(node.at("pattern"));
    step.content = node.at("content").string();
  } else if (step.kind == D::ctc) {
    step.pad_token = node.string("pad_token", "<pad>");
    step.word_delimiter = node.string("word_delimiter_token", "|");
    step.cleanup = node.boolean("cleanup", true);
  }
  steps.push_back(std::move(step));
}

}  // namespace tessera::text
