// tokenize: text to token ids, pieces and offsets, and back.

#include <fmt/ranges.h>

#include <charconv>

#include "tessera/app/commands.h"
#include "tessera/app/model_input.h"
#include "tessera/base/error.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> file;
  bool lines = false, decode = false, special = true;
};

Json encoding_document(const text::Encoding& encoding) {
  Json offsets = Json::array();
  for (const auto& span : encoding.offsets) offsets.push_back({span.begin, span.end});
  return {{"ids", encoding.ids}, {"pieces", encoding.pieces}, {"offsets", offsets}};
}

// Ids in decimal, separated by anything that is no digit: what tokenize prints, JSON included.
std::vector<text::TokenId> parse_ids(std::string_view text, int64_t size) {
  std::vector<text::TokenId> ids;
  for (size_t at = 0; at < text.size();) {
    if (text[at] < '0' || text[at] > '9') {
      if (std::string_view(" ,;[]\t\r\n").find(text[at]) == std::string_view::npos)
        throw InputError("--decode: {} is no list of token ids; give numbers separated by blanks or commas",
                         tessera::quoted(text.substr(at, 20)));
      ++at;
      continue;
    }
    text::TokenId id = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    if (error != std::errc{} || id >= size)
      throw InputError("--decode: token {} is not in the vocabulary; give 0 to {}",
                       tessera::quoted(text.substr(at, static_cast<size_t>(end - text.data()) - at)), size - 1);
    ids.push_back(id);
    at = static_cast<size_t>(end - text.data());
  }
  return ids;
}

void tokenize_one(const text::Tokenizer& tokenizer, std::string_view text, const TokenizeOptions& options, run::Context& context) {
  if (options.decode) {
    const std::string decoded = tokenizer.decode(parse_ids(text, tokenizer.size()), false);
    context.write(decoded + "\n");
    const Json document = {{"text", decoded}};
    if (options.lines) return context.result_line(document);
    return context.result(document);
  }
  const text::EncodeOptions how{.add_special_tokens = options.special, .parse_special_tokens = true};
  if (!context.settings().json) return context.write(fmt::format("{}\n", fmt::join(tokenizer.encode_ids(text, how), " ")));
  const Json document = encoding_document(tokenizer.encode(text, how));
  if (options.lines) return context.result_line(document);
  context.result(document);
}

void tokenize(const TokenizeOptions& options, run::Context& context) {
  const auto tokenizer = text::Tokenizer::load(options.model);
  std::string text = read_text(options.file, "the text");
  if (!options.lines) return tokenize_one(tokenizer, text, options, context);
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokenize_one(tokenizer, line, options, context);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
}

run::OptionTable<TokenizeOptions> tokenize_options() {
  return run::OptionTable<TokenizeOptions>()
      .model("MODEL", &TokenizeOptions::model, "model folder, tokenizer.json, tokenizer.model or .gguf; or an installed model's name")
      .short_name('m')
      .input("FILE", &TokenizeOptions::file, "text to tokenize; left out or -: standard input")
      .optional()
      .short_name('f')
      .flag("lines", &TokenizeOptions::lines, "each line by itself: one line of ids, or one JSON document, for each")
      .flag("special", &TokenizeOptions::special, "add what the tokenizer puts around a text, such as <s>")
      .flag("decode", &TokenizeOptions::decode, "the other way: ids in, text out")
      .example("echo 'The sea is blue.' | tessera tokenize smollm2", "ids of a text")
      .example("tessera tokenize smollm2 book.txt --lines --json", "one document a line: ids, pieces, offsets")
      .example("echo 504 3726 314 | tessera tokenize smollm2 --decode", "back to text");
}

}  // namespace

run::Command tokenize_command() { return run::command("tokenize", "turn text into token ids, or back", tokenize_options, tokenize); }

}  // namespace tessera::app
