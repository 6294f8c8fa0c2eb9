#include "tessera/text/stream_decode.h"

#include <algorithm>

#include "tessera/base/error.h"

namespace tessera::text {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";
constexpr size_t kContext = 8;      // ids kept before the new ones: more than any decoder step looks back
constexpr size_t kLongWindow = 64;  // ids after which the window is cut

// How much of the end of `text` may change when more ids come: trailing U+FFFD, which may be a character cut in the middle.
size_t stable_size(std::string_view text) {
  while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
  return text.size();
}

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, StreamOptions options) : tokenizer_(tokenizer), options_(std::move(options)) {
  for (const std::string& stop : options_.stop)
    if (stop.empty()) throw InputError("a stop string is empty; give one or more characters");
  for (const DecoderStep& step : tokenizer.spec().decoder) byte_fallback_ |= step.kind == DecoderStep::Kind::byte_fallback;
}

// Drops ids that are out, where the rest decodes to the same text after them as before.
void StreamDecoder::move_window() {
  if (window_.size() < kLongWindow) return;
  for (size_t drop = window_.size() - kContext; drop >= kLongWindow / 2; --drop) {
    const std::vector<TokenId> rest(window_.begin() + static_cast<std::ptrdiff_t>(drop), window_.end());
    std::string text = tokenizer_.decode(rest, options_.skip_special_tokens);
    if (text.find(kReplacement) != std::string::npos || !shown_.ends_with(text)) continue;
    window_ = rest;
    shown_ = std::move(text);
    return;
  }
}

// A run of <0xNN> pieces reads as characters only when all of it is UTF-8: its text is known once another piece follows.
bool StreamDecoder::in_byte_run(TokenId id) const {
  if (!byte_fallback_) return false;
  const auto piece = tokenizer_.piece(id);
  return piece && piece->size() == 6 && piece->starts_with("<0x") && piece->ends_with(">");
}

std::string StreamDecoder::push(TokenId id) {
  if (stopped_) return {};
  window_.push_back(id);
  const std::string text = tokenizer_.decode(window_, options_.skip_special_tokens);
  const size_t stable = in_byte_run(id) ? shown_.size() : stable_size(text);
  std::string fresh;
  if (stable > shown_.size() && text.compare(0, shown_.size(), shown_) == 0) {
    fresh = text.substr(shown_.size(), stable - shown_.size());
    shown_.resize(0);
    shown_.append(text, 0, stable);
  }
  std::string out = release(fresh, false);
  if (stable == text.size() && shown_.size() == text.size()) move_window();
  return out;
}

std::string StreamDecoder::finish() {
  if (stopped_) return {};
  const std::string text = tokenizer_.decode(window_, options_.skip_special_tokens);
  std::string out = release(text.size() > shown_.size() ? text.substr(shown_.size()) : "", true);
  window_.clear();
  shown_.clear();
  return out;
}

std::string StreamDecoder::release(const std::string& fresh, bool last) {
  held_ += fresh;
  size_t first = std::string::npos;
  for (const std::string& stop : options_.stop) {
    const size_t at = held_.find(stop);
    if (at < first || (at == first && at != std::string::npos && stop.size() > found_.size())) first = at, found_ = stop;
  }
  if (first != std::string::npos) {
    stopped_ = true;
    held_.resize(first);
    return std::exchange(held_, {});
  }
  size_t kept = 0;  // the longest end of the text that a stop string begins with
  for (const std::string& stop : options_.stop) {
    for (size_t size = std::min(stop.size() - 1, held_.size()); size > kept; --size)
      if (held_.compare(held_.size() - size, size, stop, 0, size) == 0) kept = size;
  }
  if (last) kept = 0;
  std::string out = held_.substr(0, held_.size() - kept);
  held_.erase(0, held_.size() - kept);
  return out;
}

}  // namespace tessera::text
