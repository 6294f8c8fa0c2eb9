#include "tessera/text/post_process.h"

#include <algorithm>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/text/byte_level.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

template <class T>
void keep_part(std::vector<T>& all, size_t begin, size_t end) {
  all.erase(all.begin() + static_cast<ptrdiff_t>(end), all.end());
  all.erase(all.begin(), all.begin() + static_cast<ptrdiff_t>(begin));
}

void cut(Encoding& e, size_t length, bool left) {
  if (length >= e.ids.size()) return;
  const size_t begin = left ? e.ids.size() - length : 0;
  keep_part(e.pieces, begin, begin + length);
  keep_part(e.offsets, begin, begin + length);
  keep_part(e.byte_offsets, begin, begin + length);
  keep_part(e.type_ids, begin, begin + length);
  keep_part(e.attention_mask, begin, begin + length);
  keep_part(e.ids, begin, begin + length);
}

void append(Encoding& to, const Encoding& from) {
  to.ids.insert(to.ids.end(), from.ids.begin(), from.ids.end());
  to.pieces.insert(to.pieces.end(), from.pieces.begin(), from.pieces.end());
  to.offsets.insert(to.offsets.end(), from.offsets.begin(), from.offsets.end());
  to.byte_offsets.insert(to.byte_offsets.end(), from.byte_offsets.begin(), from.byte_offsets.end());
  to.type_ids.insert(to.type_ids.end(), from.type_ids.begin(), from.type_ids.end());
  to.attention_mask.insert(to.attention_mask.end(), from.attention_mask.begin(), from.attention_mask.end());
}

void append_token(Encoding& to, TokenId id, const std::string& piece, int32_t type_id) {
  to.ids.push_back(id);
  to.pieces.push_back(piece);
  to.offsets.push_back({});
  to.byte_offsets.push_back({});
  to.type_ids.push_back(type_id);
  to.attention_mask.push_back(1);
}

bool blank(char32_t c) { return c == byte_to_char(' ') || is(c, Trait::white_space); }

Span trimmed(Span span, size_t index, int64_t leading, int64_t trailing, bool add_prefix_space) {
  if (leading > 0) {
    const bool first = index == 0 || span.begin == 0;
    if (first && add_prefix_space && leading == 1) leading = 0;  // the blank that the pre-tokenizer put there
    span.begin = std::min(span.begin + leading, span.end);
  }
  if (trailing > 0 && span.end >= trailing) span.end = std::max(span.end - trailing, span.begin);
  return span;
}

void trim_offsets(Encoding& e, bool add_prefix_space) {
  for (size_t i = 0; i < e.ids.size(); ++i) {
    const std::string& piece = e.pieces[i];
    int64_t leading = 0, trailing = 0;
    for (size_t at = 0; at < piece.size() && blank(next_char(piece, at));) ++leading;
    for (size_t at = piece.size(); at > 0 && blank(char_at(piece, previous_start(piece, at))); at = previous_start(piece, at)) ++trailing;
    e.offsets[i] = trimmed(e.offsets[i], i, leading, trailing, add_prefix_space);
    e.byte_offsets[i] = trimmed(e.byte_offsets[i], i, leading, trailing, add_prefix_space);
  }
}

std::vector<Encoding> by_template(const PostProcessorStep& step, const std::vector<Encoding>& encodings, bool add_special_tokens) {
  std::vector<Encoding> out;
  for (const TemplateItem& item : encodings.size() > 1 ? step.pair : step.single) {
    if (item.kind == TemplateItem::Kind::special) {
      if (!add_special_tokens) continue;
      Encoding& e = out.emplace_back();
      for (size_t i = 0; i < item.ids.size(); ++i) append_token(e, item.ids[i], item.pieces[i], item.type_id);
      continue;
    }
    const size_t which = item.kind == TemplateItem::Kind::sequence_a ? 0 : 1;
    Encoding e = encodings[std::min(which, encodings.size() - 1)];
    std::fill(e.type_ids.begin(), e.type_ids.end(), item.type_id);
    out.push_back(std::move(e));
  }
  return out;
}

// [CLS] a [SEP] and b [SEP] for BERT; <s> a </s> and </s> b </s> for RoBERTa, whose types are all 0.
std::vector<Encoding> surrounded(const PostProcessorStep& step, std::vector<Encoding> encodings, bool add_special_tokens) {
  const bool roberta = step.kind == PostProcessorStep::Kind::roberta;
  for (size_t i = 0; i < encodings.size(); ++i) {
    Encoding& e = encodings[i];
    if (roberta && step.trim_offsets) trim_offsets(e, step.add_prefix_space);
    if (roberta) std::fill(e.type_ids.begin(), e.type_ids.end(), 0);
    if (!add_special_tokens) continue;
    Encoding now;
    if (i == 0) append_token(now, step.cls_id, step.cls, 0);
    if (i > 0 && roberta) append_token(now, step.sep_id, step.sep, 0);
    append(now, e);
    append_token(now, step.sep_id, step.sep, i > 0 && !roberta ? 1 : 0);
    e = std::move(now);
  }
  return encodings;
}

}  // namespace

int64_t added_count(const std::vector<PostProcessorStep>& steps, bool pair) {
  using Kind = PostProcessorStep::Kind;
  int64_t count = 0;
  for (const PostProcessorStep& step : steps) {
    if (step.kind == Kind::bert) count += pair ? 3 : 2;
    if (step.kind == Kind::roberta) count += pair ? 4 : 2;
    if (step.kind != Kind::template_processing) continue;
    for (const TemplateItem& item : pair ? step.pair : step.single) count += static_cast<int64_t>(item.ids.size());
  }
  return count;
}

void truncate(std::vector<Encoding>& encodings, const Truncation& truncation, int64_t added, const std::string& source) {
  using Strategy = Truncation::Strategy;
  const int64_t most = std::max<int64_t>(truncation.max_length - added, 0);
  const auto length = [&](size_t i) { return static_cast<int64_t>(encodings[i].ids.size()); };
  const int64_t total = length(0) + (encodings.size() > 1 ? length(1) : 0);
  if (total <= most) return;
  if (most == 0) {
    for (Encoding& e : encodings) cut(e, 0, truncation.left);
    return;
  }
  if (truncation.strategy == Strategy::longest_first && encodings.size() > 1) {
    int64_t shorter = std::min(length(0), length(1));
    int64_t longer = shorter > most ? shorter : std::max(shorter, most - shorter);
    if (shorter + longer > most) {
      shorter = most / 2;
      longer = shorter + most % 2;
    }
    if (length(0) > length(1)) std::swap(shorter, longer);
    cut(encodings[0], static_cast<size_t>(shorter), truncation.left);
    cut(encodings[1], static_cast<size_t>(longer), truncation.left);
    return;
  }
  const size_t target = truncation.strategy == Strategy::only_second ? 1 : 0;
  if (target >= encodings.size()) {
    throw InputError("{}: truncation only_second needs two texts, given one; use longest_first", source);
  }
  const int64_t kept = length(target) - (total - most);
  if (kept <= 0)
    throw InputError("{}: truncation to {} tokens would leave nothing of the text to cut; raise max_length", source, truncation.max_length);
  cut(encodings[target], static_cast<size_t>(kept), truncation.left);
}

Encoding post_process(const std::vector<PostProcessorStep>& steps, std::vector<Encoding> encodings, bool add_special_tokens) {
  using Kind = PostProcessorStep::Kind;
  for (const PostProcessorStep& step : steps) {
    switch (step.kind) {
      case Kind::template_processing:
        encodings = by_template(step, encodings, add_special_tokens);
        break;
      case Kind::byte_level:
        if (!step.trim_offsets) break;
        for (Encoding& e : encodings) trim_offsets(e, step.add_prefix_space);
        break;
      case Kind::bert:
        if (!add_special_tokens) break;
        [[fallthrough]];
      case Kind::roberta:
        encodings = surrounded(step, std::move(encodings), add_special_tokens);
        break;
    }
  }
  if (encodings.empty()) return {};
  Encoding out = std::move(encodings[0]);
  for (size_t i = 1; i < encodings.size(); ++i) append(out, encodings[i]);
  return out;
}

void pad(Encoding& e, const Padding& padding) {
  int64_t wanted = padding.length > 0 ? padding.length : static_cast<int64_t>(e.ids.size());
  if (padding.pad_to_multiple_of > 0 && wanted % padding.pad_to_multiple_of != 0) {
    wanted += padding.pad_to_multiple_of - wanted % padding.pad_to_multiple_of;
  }
  Encoding filler;
  for (int64_t i = static_cast<int64_t>(e.ids.size()); i < wanted; ++i) {
    append_token(filler, padding.pad_id, padding.pad_token, padding.pad_type_id);
    filler.attention_mask.back() = 0;
  }
  if (filler.ids.empty()) return;
  if (!padding.left) return append(e, filler);
  append(filler, e);
  e = std::move(filler);
}

}  // namespace tessera::text
