#include "tessera/methods/danube/opened.h"

#include <charconv>

#include "tessera/base/error.h"

namespace tessera::danube {

const char* const kChatTemplate =
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|prompt|>' + message['content'] + eos_token }}"
    "{% elif message['role'] == 'system' %}{{ '<|system|>' + message['content'] + eos_token }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|answer|>' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('role ' + message['role'] + ' is not known; Danube knows system, user and assistant') }}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|answer|>' }}{% endif %}"
    "{% endfor %}";

lm::LoadedModel open_model(const std::string& model, const run::Context& context, std::optional<int64_t> window,
                           std::optional<lm::DtypeChoice> dtype) {
  lm::LoadOptions options;
  options.dtype = dtype.value_or(lm::parse_dtype(run::name_of(context.settings().dtype)));
  options.device = lm::parse_device(run::name_of(context.settings().device));
  options.window = window;
  auto loaded = lm::load_model(model, options);
  if (!loaded.tokenizer) throw InputError("{}: it has no tokenizer that can be used: {}", tessera::quoted(model), loaded.tokenizer_problem);
  return loaded;
}

text::ChatTemplate chat_template_of(const lm::LoadedModel& loaded, bool own) {
  if (own && !loaded.chat_template.empty()) {
    if (auto found = text::ChatTemplate::load(loaded.path)) return std::move(*found);
  }
  const auto eos = loaded.tokenizer->eos_id();
  const auto piece = eos ? loaded.tokenizer->piece(*eos) : std::nullopt;
  if (!piece)
    throw InputError(
        "{}: its tokenizer names no end token, which Danube's chat template ends every turn with; name one as eos_token in "
        "tokenizer_config.json",
        loaded.path.string());
  return text::ChatTemplate(kChatTemplate, "", *piece, "Danube's chat template");
}

std::vector<int64_t> end_ids_of(const lm::LoadedModel& loaded) {
  if (!loaded.end_ids.empty()) return loaded.end_ids;
  if (const auto eos = loaded.tokenizer->eos_id()) return {*eos};
  return {};
}

std::vector<int64_t> encode(const text::Tokenizer& tokenizer, std::string_view text, bool special) {
  const auto ids = tokenizer.encode_ids(text, {.add_special_tokens = special});
  return {ids.begin(), ids.end()};
}

std::optional<int64_t> parse_window(const std::optional<std::string>& given, bool inclusive) {
  if (!given) return std::nullopt;
  if (*given == "off" || *given == "none") return 0;
  int64_t window = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), window);
  if (error != std::errc() || end != given->data() + given->size())
    throw InputError("--window {}: give a number of tokens, or off", tessera::quoted(*given));
  return window < 1 ? 0 : window + (inclusive ? 1 : 0);
}

}  // namespace tessera::danube
