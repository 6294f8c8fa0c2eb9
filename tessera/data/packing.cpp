#include "tessera/data/packing.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "tessera/base/error.h"

namespace tessera::data {
namespace {

void append_piece(Window& window, std::span<const int32_t> piece) {
  if (window.lengths.empty()) window.lengths.push_back(0);
  window.tokens.insert(window.tokens.end(), piece.begin(), piece.end());
  for (size_t i = 0; i < piece.size(); ++i) window.positions.push_back(static_cast<int32_t>(i));
  window.lengths.push_back(static_cast<int32_t>(window.tokens.size()));
}

}  // namespace

Packer::Packer(const PackingOptions& options) : options_(options) {
  if (options.window < 1 || options.window > std::numeric_limits<int32_t>::max())
    throw InputError("a window of {} tokens cannot be packed; give 1 to 2147483647", options.window);
  options_.open = std::max<size_t>(1, options.open);
}

void Packer::add(std::span<const int32_t> document) {
  if (document.empty()) return;
  if (options_.packing == Packing::concatenate) return concatenate(document);
  const auto window = static_cast<size_t>(options_.window);
  for (; document.size() > window; document = document.subspan(window)) {
    Open full;
    append_piece(full.window, document.first(window));
    close(std::move(full));
  }
  if (options_.packing == Packing::first_fit) return place(document);
  waiting_.emplace_back(document.begin(), document.end());
  if (waiting_.size() >= options_.open) place_sorted();
}

void Packer::concatenate(std::span<const int32_t> document) {
  while (!document.empty()) {
    if (open_.empty()) open_.push_back({.window = {}, .room = options_.window});
    Open& last = open_.back();
    const auto n = std::min(document.size(), static_cast<size_t>(last.room));
    append_piece(last.window, document.first(n));
    last.room -= static_cast<int64_t>(n);
    document = document.subspan(n);
    if (last.room == 0) {
      close(std::move(last));
      open_.clear();
    }
  }
}

void Packer::place(std::span<const int32_t> piece) {
  const auto size = static_cast<int64_t>(piece.size());
  auto best = open_.end();
  for (auto open = open_.begin(); open != open_.end(); ++open) {
    if (open->room < size || (best != open_.end() && best->room <= open->room)) continue;
    best = open;
    if (options_.packing == Packing::first_fit) break;
  }
  if (best == open_.end()) {
    // No room anywhere: the fullest open window is closed to keep their number bounded.
    if (open_.size() >= options_.open) {
      const auto fullest = std::min_element(open_.begin(), open_.end(), [](const Open& a, const Open& b) { return a.room < b.room; });
      close(std::move(*fullest));
      open_.erase(fullest);
    }
    open_.push_back({.window = {}, .room = options_.window});
    best = std::prev(open_.end());
  }
  append_piece(best->window, piece);
  best->room -= size;
  if (best->room == 0) {
    close(std::move(*best));
    open_.erase(best);
  }
}

void Packer::place_sorted() {
  std::stable_sort(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  for (const auto& document : waiting_) place(document);
  waiting_.clear();
}

void Packer::close(Open&& open) {
  const auto window = static_cast<size_t>(options_.window);
  open.window.tokens.resize(window, options_.pad);
  open.window.positions.resize(window, 0);
  done_.push_back(std::move(open.window));
}

std::vector<Window> Packer::take() { return std::exchange(done_, {}); }

void Packer::finish() {
  place_sorted();
  for (Open& open : open_) close(std::move(open));
  open_.clear();
}

std::vector<Window> pack(std::span<const std::vector<int32_t>> documents, const PackingOptions& options) {
  Packer packer(options);
  for (const auto& document : documents) packer.add(document);
  packer.finish();
  return packer.take();
}

std::vector<int32_t> document_ids(const Window& window) {
  std::vector<int32_t> ids(window.tokens.size(), -1);
  for (size_t i = 0; i + 1 < window.lengths.size(); ++i)
    std::fill(ids.begin() + window.lengths[i], ids.begin() + window.lengths[i + 1], static_cast<int32_t>(i));
  return ids;
}

std::vector<Span> disjoint_windows(int64_t tokens, int64_t window, int64_t windows, int64_t shortest) {
  if (window < 2) throw InputError("a window of {} tokens scores nothing, its first token has no context; give 2 or more", window);
  std::vector<Span> spans;
  for (int64_t begin = 0; begin < tokens && (windows == 0 || static_cast<int64_t>(spans.size()) < windows); begin += window) {
    const int64_t end = std::min(tokens, begin + window);
    if (end - begin >= std::max<int64_t>(2, shortest)) spans.push_back({begin, end});
  }
  return spans;
}

}  // namespace tessera::data
