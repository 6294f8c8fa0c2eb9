#include "tessera/lm/token_text.h"

#include <algorithm>

#include "tessera/text/tokenizer.h"

namespace tessera::lm {

TokenText::TokenText(const text::Tokenizer* tokenizer, const std::vector<std::string>& stop) : tokenizer_(tokenizer), stop_(stop) {
  std::erase_if(stop_, [](const auto& text) { return text.empty(); });
}

// The text that the ids after `shown_` add to the text of those before them. Without `end`, nothing while a character is incomplete.
std::string TokenText::decode_new(bool end) {
  const std::span<const int32_t> ids(ids_);
  const auto before = tokenizer_->decode(ids.first(shown_)), all = tokenizer_->decode(ids);
  constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD: bytes that are no character yet
  if (all.size() <= before.size() || (!end && all.ends_with(replacement))) return "";
  // Pieces are read in the context of at least one other: some decoders treat the first differently.
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(shown_));
  shown_ = ids_.size();
  return all.substr(before.size());
}

std::string TokenText::add(int64_t id) {
  if (tokenizer_ == nullptr || stopped_) return "";
  ids_.push_back(static_cast<int32_t>(id));
  return release(decode_new(false), false);
}

std::string TokenText::flush() {
  if (tokenizer_ == nullptr || stopped_) return "";
  return release(decode_new(true), true);
}

// Lets go of what can no longer be part of a stop string; at a stop string, of what lies before it.
std::string TokenText::release(const std::string& fresh, bool end) {
  held_ += fresh;
  size_t first = std::string::npos, keep = 0;
  for (const auto& stop : stop_) {
    first = std::min(first, held_.find(stop));
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  stopped_ = first != std::string::npos;
  if (stopped_) return held_.substr(0, first);
  auto certain = held_.substr(0, held_.size() - (end ? 0 : keep));
  held_.erase(0, certain.size());
  return certain;
}

}  // namespace tessera::lm
