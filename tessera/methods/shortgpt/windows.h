#pragma once
// Text to windows: every text is cut into windows of equal length with a stride of one window, each an independent sequence from position 0
// to which no token is added. A shorter window at the end of a text is kept (ShortGPT's calibration, section 3.1).

#include <filesystem>
#include <vector>

#include "tessera/methods/shortgpt/layered.h"
#include "tessera/text/tokenizer.h"

namespace tessera::shortgpt {

struct WindowOptions {
  int64_t window = 256;    // tokens, >= 2
  int64_t tokens = 65536;  // at most this many in all
};

// Windows of one token stream; the last may be shorter but has at least two tokens.
Windows cut(const std::vector<text::TokenId>& ids, int64_t window);

// The first `limit` tokens of a text, or all. Special tokens' names in it are plain text; only as much is encoded as is needed.
std::vector<text::TokenId> first_tokens(const text::Tokenizer& tokenizer, std::string_view text, int64_t limit);

// The windows of the files in order, up to options.tokens. `option` names them in messages ("--calib"). Throws InputError when all together
// hold less than one window.
Windows read_windows(const text::Tokenizer& tokenizer, const std::vector<std::filesystem::path>& files, const WindowOptions& options,
                     const std::string& option);

int64_t token_count(const Windows& windows);

}  // namespace tessera::shortgpt
