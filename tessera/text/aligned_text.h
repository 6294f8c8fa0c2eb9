#pragma once
// A text on its way through normalisers, which remembers for each of its bytes where in the original text it came from.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/text/unicode.h"
#include "tessera/text/unicode_normal.h"

namespace tessera::text {

// [begin, end) in bytes of the original text.
struct Align {
  uint32_t begin = 0, end = 0;
};

// [begin, end) in bytes of a text being split.
struct ByteRange {
  uint32_t begin = 0, end = 0;
};

enum class Tracking { off, on };

class AlignedText {
 public:
  // `original` is valid UTF-8 that starts at byte `base` of the whole text; it must outlive this.
  AlignedText(std::string_view original, uint32_t base, Tracking tracking);

  std::string_view text() const { return view_; }
  bool tracked() const { return tracked_; }
  // Where bytes [begin, end) of the text, begin < end, came from. Only when tracked.
  Align origin(size_t begin, size_t end) const { return {align_[begin].begin, align_[end - 1].end}; }
  // True when the first byte came from byte 0 of the whole text. Untracked, `doubtful()` says when this is not known.
  bool starts_at_zero() const { return tracked_ ? !align_.empty() && align_[0].begin == 0 : base_ == 0; }
  bool doubtful() const { return doubtful_; }
  AlignedText(const AlignedText&) = delete;
  AlignedText& operator=(const AlignedText&) = delete;

  // Bytes [begin, end) as a text of their own, which refers to this one.
  AlignedText slice(ByteRange range) const;

  // The text becomes the characters of `changes`, after dropping its first `removed` characters.
  void transform(const std::vector<Change>& changes, size_t removed = 0);
  // Every range (in order, disjoint) becomes `content`.
  void replace(const std::vector<ByteRange>& matches, std::string_view content);
  void prepend(std::string_view content);  // an empty text stays empty
  // Keeps the characters for which keep(c) is true.
  template <class Keep>
  void filter(Keep keep) {
    std::vector<Change> kept;
    size_t removed_first = 0;
    int32_t removed = 0;
    for (size_t at = 0; at < view_.size();) {
      const char32_t c = next_char(view_, at);
      if (!keep(c)) {
        ++removed;
        continue;
      }
      if (kept.empty()) removed_first = static_cast<size_t>(removed);
      if (!kept.empty()) kept.back().change = -removed;
      kept.push_back({c, 0});
      removed = 0;
    }
    if (!kept.empty()) kept.back().change = -removed;
    transform(kept, removed_first);
  }

  // A new version of the text, put together from parts of this one and new bytes.
  class Draft {
   public:
    explicit Draft(const AlignedText& from) : from_(from) { text_.reserve(from.view_.size() + from.view_.size() / 8 + 16); }
    void copy(size_t begin, size_t end) {
      text_.append(from_.view_, begin, end - begin);
      if (from_.tracked_)
        align_.insert(align_.end(), from_.align_.begin() + static_cast<ptrdiff_t>(begin),
                      from_.align_.begin() + static_cast<ptrdiff_t>(end));
    }
    // New bytes that came from where the byte `like` of the old text came from.
    void put(std::string_view bytes, size_t like) {
      text_.append(bytes);
      if (from_.tracked_) align_.insert(align_.end(), bytes.size(), from_.align_[like]);
    }
    size_t size() const { return text_.size(); }

   private:
    friend class AlignedText;
    const AlignedText& from_;
    std::string text_;
    std::vector<Align> align_;
  };
  void adopt(Draft&& draft);

 private:
  AlignedText(const AlignedText& from, ByteRange range);
  std::string_view view_;
  std::string own_;
  std::vector<Align> align_;  // one a byte when tracked
  uint32_t base_ = 0;
  bool tracked_ = false, doubtful_ = false;
};

}  // namespace tessera::text
