#pragma once
// What Danube's commands share: a model with its tokenizer, its chat template, its end tokens.

#include <memory>

#include "tessera/lm/load.h"
#include "tessera/run/command.h"
#include "tessera/text/chat_template.h"
#include "tessera/text/tokenizer.h"

namespace tessera::danube {

// Loads a model as the run's --device and --dtype say; `window` replaces its sliding window (0: none). Throws InputError, also when it has
// no tokenizer.
lm::LoadedModel open_model(const std::string& model, const run::Context& context, std::optional<int64_t> window = {},
                           std::optional<lm::DtypeChoice> dtype = {});

// Danube's chat template, Jinja: `<|prompt|>` text </s>, `<|answer|>` text </s>, `<|system|>` text </s>, and `<|answer|>` to open an
// answer; no <s>, no line ends. The three markers are plain text and become several tokens; </s> is what the tokenizer calls eos_token.
extern const char* const kChatTemplate;

// The model's own template, or Danube's when it has none or `own` is false. Throws InputError when Danube's is needed and the tokenizer has
// no end token.
text::ChatTemplate chat_template_of(const lm::LoadedModel& loaded, bool own = true);

// The end tokens of the model, else the tokenizer's.
std::vector<int64_t> end_ids_of(const lm::LoadedModel& loaded);

std::vector<int64_t> encode(const text::Tokenizer& tokenizer, std::string_view text, bool special);

// "off", "none" or a number: 0 for no window, as are numbers below 1. `inclusive`: FlashAttention-2's count, which sees the window's tokens
// and the query's own: one more. Throws InputError for other words.
std::optional<int64_t> parse_window(const std::optional<std::string>& given, bool inclusive);

}  // namespace tessera::danube
