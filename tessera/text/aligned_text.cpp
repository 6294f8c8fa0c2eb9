#include "tessera/text/aligned_text.h"

#include <algorithm>
#include <cstddef>

#include "tessera/base/error.h"

namespace tessera::text {

namespace {

constexpr size_t longest_normalised = size_t{1} << 31;  // bytes: places in a text have 32 bits

[[noreturn]] void refuse_growth() {
  throw InputError("normalising makes a text longer than {} bytes; split the text, or correct the tokenizer's replacements",
                   longest_normalised);
}

}  // namespace

AlignedText::AlignedText(std::string_view original, uint32_t base, Tracking tracking)
    : view_(original), base_(base), tracked_(tracking == Tracking::on) {
  if (!tracked_) return;
  align_.reserve(original.size());
  for (size_t at = 0; at < original.size();) {
    const size_t length = char_length(original[at]);
    const auto begin = static_cast<uint32_t>(base + at);
    align_.insert(align_.end(), length, Align{begin, static_cast<uint32_t>(begin + length)});
    at += length;
  }
}

AlignedText::AlignedText(const AlignedText& from, ByteRange range)
    : view_(from.view_.substr(range.begin, range.end - range.begin)),
      base_(from.base_ + range.begin),
      tracked_(from.tracked_),
      doubtful_(from.doubtful_ && range.begin == 0) {
  if (!tracked_) return;
  align_.assign(from.align_.begin() + range.begin, from.align_.begin() + range.end);
  base_ = align_.empty() ? from.base_ : align_[0].begin;
}

AlignedText AlignedText::slice(ByteRange range) const { return AlignedText(*this, range); }

void AlignedText::transform(const std::vector<Change>& changes, size_t removed) {
  size_t at = 0;  // in the old text
  const auto skip = [&](size_t characters) {
    for (; characters > 0 && at < view_.size(); --characters) at += char_length(view_[at]);
  };
  skip(removed);
  std::string text;
  text.reserve(view_.size());
  std::vector<Align> align;
  if (tracked_) align.reserve(align_.size());
  if (changes.size() > longest_normalised / 4) refuse_growth();
  if (removed > 0 || (!changes.empty() && changes[0].change > 0)) doubtful_ = true;
  for (const Change& change : changes) {
    append_utf8(text, change.c);
    if (tracked_) {
      Align origin{base_, base_};
      if (change.change > 0) {
        if (at > 0) origin = align_[at - 1];
      } else if (!align_.empty()) {
        origin = align_[std::min(at, align_.size() - 1)];
      }
      align.insert(align.end(), utf8_size(change.c), origin);
    }
    if (change.change <= 0) skip(1 + static_cast<size_t>(-change.change));
  }
  own_ = std::move(text);
  view_ = own_;
  align_ = std::move(align);
}

void AlignedText::replace(const std::vector<ByteRange>& matches, std::string_view content) {
  if (matches.empty()) return;
  if (matches[0].begin == 0 && (content.empty() || matches[0].end == 0 || matches[0].end != char_length(view_[0]))) doubtful_ = true;
  if (content.size() * matches.size() > longest_normalised) refuse_growth();
  Draft draft(*this);
  size_t last = 0;
  for (const ByteRange& match : matches) {
    draft.copy(last, match.begin);
    if (match.end > 0) {
      draft.put(content, match.end - 1);
    } else {
      draft.text_.append(content);
      if (tracked_) draft.align_.insert(draft.align_.end(), content.size(), Align{base_, base_});
    }
    last = match.end;
  }
  draft.copy(last, view_.size());
  adopt(std::move(draft));
}

void AlignedText::prepend(std::string_view content) {
  if (view_.empty()) return;
  Draft draft(*this);
  draft.put(content, 0);
  draft.copy(0, view_.size());
  adopt(std::move(draft));
}

void AlignedText::adopt(Draft&& draft) {
  if (draft.text_.size() > longest_normalised) refuse_growth();
  align_ = std::move(draft.align_);
  own_ = std::move(draft.text_);
  view_ = own_;
}

}  // namespace tessera::text
