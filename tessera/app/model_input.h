#pragma once
// What the model commands share: how settings become load options, texts are read, token ids cross between rooms.

#include <optional>

#include "tessera/lm/load.h"
#include "tessera/run/command.h"
#include "tessera/text/tokenizer.h"

namespace tessera::app {

lm::LoadOptions load_options(const run::Settings& settings);
// The model with its tokenizer. Throws InputError, also when it has no tokenizer. Says on stderr what was loaded when --verbose is given.
lm::LoadedModel open_model(const std::string& path, run::Context& context);

// The text of `file`, or of standard input when it is not given or "-". InputError when it is empty and `what` must not be.
std::string read_text(const std::optional<std::string>& file, const char* what);

std::vector<int64_t> wide(const std::vector<text::TokenId>& ids);
std::vector<text::TokenId> narrow(const std::vector<int64_t>& ids);

// Invalid UTF-8 as U+FFFD, for JSON and terminals.
std::string printable(const std::string& text);

}  // namespace tessera::app
