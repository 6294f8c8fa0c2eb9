#include "tessera/methods/shortgpt/windows.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"

namespace tessera::shortgpt {

Windows cut(const std::vector<text::TokenId>& ids, int64_t window) {
  Windows windows;
  const auto total = static_cast<int64_t>(ids.size());
  for (int64_t begin = 0; total - begin >= 2; begin += window) {
    const std::vector<int64_t> piece(ids.begin() + begin, ids.begin() + std::min(begin + window, total));
    windows.push_back(torch::tensor(piece, torch::kLong));
  }
  return windows;
}

std::vector<text::TokenId> first_tokens(const text::Tokenizer& tokenizer, std::string_view text, int64_t limit) {
  const text::EncodeOptions plain{.add_special_tokens = false, .parse_special_tokens = false};
  for (size_t bytes = static_cast<size_t>(limit) * 8;; bytes *= 2) {
    size_t end = std::min(bytes, text.size());
    if (end < text.size()) end = std::max(text.rfind('\n', end) + 1, end / 2);  // at a line, where no tokenizer joins what follows
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    auto ids = tokenizer.encode_ids(text.substr(0, end), plain);
    if (static_cast<int64_t>(ids.size()) >= limit || end == text.size()) {
      ids.resize(std::min(ids.size(), static_cast<size_t>(limit)));
      return ids;
    }
  }
}

Windows read_windows(const text::Tokenizer& tokenizer, const std::vector<std::filesystem::path>& files, const WindowOptions& options,
                     const std::string& option) {
  Windows windows;
  int64_t left = options.tokens, most = 0;
  for (const auto& file : files) {
    if (left < 2) break;
    const auto ids = first_tokens(tokenizer, read_file(file), left);
    most = std::max(most, static_cast<int64_t>(ids.size()));
    left -= static_cast<int64_t>(ids.size());
    for (auto& window : cut(ids, options.window)) windows.push_back(std::move(window));
  }
  if (most < options.window) {
    throw InputError("{} {}: {} tokens, a window needs {}; give a longer text or a smaller --window", option,
                     quoted(files.empty() ? "" : files.front().string(), 200), most, options.window);
  }
  return windows;
}

int64_t token_count(const Windows& windows) {
  int64_t total = 0;
  for (const auto& window : windows) total += window.size(0);
  return total;
}

}  // namespace tessera::shortgpt
