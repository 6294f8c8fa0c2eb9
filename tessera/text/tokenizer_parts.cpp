#include "tessera/text/tokenizer_parts.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

constexpr std::string_view mark_text = "\u2581";
constexpr size_t longest_text = size_t{1} << 30;

// Ids may have holes, but not so many that a table by id outgrows the vocabulary.
void check_ids(const TokenizerSpec& spec) {
  const auto limit = static_cast<int64_t>(8 * (spec.vocab.size() + spec.added_tokens.size()) + (1u << 20));
  const auto check = [&](const std::string& piece, int64_t id) {
    if (id >= 0 && id < limit) return;
    throw InputError("{}: token \"{}\" has id {}, expected 0 to {}; the file is damaged, copy it again", spec.source,
                     tessera::quoted(piece), id, limit - 1);
  };
  for (const VocabEntry& entry : spec.vocab) check(entry.piece, entry.id);
  for (const AddedToken& token : spec.added_tokens) check(token.content, token.id);
}

void check_texts(const TokenizerSpec& spec) {
  const auto check = [&](const std::string& piece) {
    if (valid_utf8(piece)) return;
    throw InputError("{}: the token \"{}\" is not UTF-8; the file is damaged, copy it again", spec.source, tessera::quoted(piece));
  };
  for (const VocabEntry& entry : spec.vocab) check(entry.piece);
  for (const AddedToken& token : spec.added_tokens) check(token.content);
}

void check_merges(const TokenizerSpec& spec, const std::vector<bool>& known) {
  const auto is_known = [&](TokenId id) { return id >= 0 && static_cast<size_t>(id) < known.size() && known[static_cast<size_t>(id)]; };
  for (const Merge& merge : spec.merges) {
    if (is_known(merge.left) && is_known(merge.right) && is_known(merge.merged)) continue;
    throw InputError("{}: a merge of ids {} and {} into {} names a token that the vocabulary lacks; the file is damaged, copy it again",
                     spec.source, merge.left, merge.right, merge.merged);
  }
}

void check_roles(TokenizerSpec& spec, size_t size) {
  if (spec.unk_id && (*spec.unk_id < 0 || static_cast<size_t>(*spec.unk_id) >= spec.vocab.size())) {
    throw InputError("{}: unk_id {} is not in the vocabulary of {} tokens; the file is damaged, copy it again", spec.source, *spec.unk_id,
                     spec.vocab.size());
  }
  for (std::optional<TokenId>* role : {&spec.bos_id, &spec.eos_id, &spec.pad_id, &spec.unk_role_id}) {
    if (*role && (**role < 0 || static_cast<size_t>(**role) >= size)) role->reset();
  }
}

std::unique_ptr<VocabModel> make_model(const TokenizerSpec& spec, WordBytes bytes) {
  switch (spec.model) {
    case TokenizerSpec::Model::bpe:
      return make_bpe(spec, bytes);
    case TokenizerSpec::Model::unigram:
      return make_unigram(spec);
    case TokenizerSpec::Model::wordpiece:
      return make_wordpiece(spec);
    case TokenizerSpec::Model::wordlevel:
      return make_wordlevel(spec);
  }
  return nullptr;
}

}  // namespace

Tokenizer::Parts::Parts(TokenizerSpec given)
    : spec(std::move(given)),
      normalizer(spec.normalizer, spec.source),
      pre_tokenizer(spec.pre_tokenizer, spec.source),
      plain(spec.added_tokens, false, normalizer),
      normalized(spec.added_tokens, true, normalizer),
      decoder(spec.decoder, spec.source),
      ids(spec.vocab.size() + spec.added_tokens.size()) {
  check_ids(spec);
  check_texts(spec);
  name_pieces();
  check_roles(spec, pieces.size());
  const bool raw = spec.model == TokenizerSpec::Model::bpe && pre_tokenizer.ends_in_byte_level() && covers_all_bytes(spec);
  if (raw) pre_tokenizer.keep_bytes();
  model = make_model(spec, raw ? WordBytes::raw : WordBytes::characters);
  starts_at_mark = model->starts_at_mark();
  learn_post_processing();
}

void Tokenizer::Parts::name_pieces() {
  TokenId most = -1;
  for (const VocabEntry& entry : spec.vocab) most = std::max(most, entry.id);
  for (const AddedToken& token : spec.added_tokens) most = std::max(most, token.id);
  const auto size = static_cast<size_t>(most) + 1;
  pieces.resize(size);
  known.resize(size);
  special.resize(size);
  skipped.resize(size);
  PieceTable added_texts, special_texts, shared_texts;  // shared: of an added token and of the vocabulary
  for (const AddedToken& token : spec.added_tokens) {
    const auto id = static_cast<size_t>(token.id);
    pieces[id] = token.content;
    rewritten.erase(token.id);
    if (token.normalized) rewritten[token.id] = normalizer.apply(token.content);
    known[id] = true;
    if (token.special) {
      special[id] = true;
      special_texts.insert(token.content, token.id);
    }
    ids.insert(token.content, token.id);
    added_texts.insert(token.content, token.id);
  }
  std::vector<bool> in_model(size);
  for (const VocabEntry& entry : spec.vocab) {
    const auto id = static_cast<size_t>(entry.id);
    const bool is_new =
        ids.insert(entry.piece, entry.id) || (added_texts.find(entry.piece) >= 0 && shared_texts.insert(entry.piece, entry.id));
    if (in_model[id] || !is_new) {
      throw InputError("{}: {} \"{}\" (id {}) is given twice in the vocabulary; the file is damaged, copy it again", spec.source,
                       in_model[id] ? "the id of" : "the token", tessera::quoted(entry.piece), entry.id);
    }
    in_model[id] = true;
    if (!known[id]) pieces[id] = entry.piece;
    known[id] = true;
  }
  for (size_t id = 0; id < size; ++id) skipped[id] = known[id] && special_texts.find(decoded(static_cast<TokenId>(id))) >= 0;
  check_merges(spec, in_model);
}

std::string_view Tokenizer::Parts::decoded(TokenId id) const {
  const auto found = rewritten.find(id);
  return found == rewritten.end() ? pieces[static_cast<size_t>(id)] : std::string_view(found->second);
}

// Post-processes an encoding of one impossible token and looks at what came around it.
void Tokenizer::Parts::learn_post_processing() {
  if (spec.truncation || spec.padding) return;
  constexpr TokenId marker = -2;
  Encoding one;
  one.ids = {marker};
  one.pieces = {""};
  one.offsets.resize(1);
  one.byte_offsets.resize(1);
  one.type_ids = {0};
  one.attention_mask = {1};
  const Encoding whole = post_process(spec.post_processor, {one}, true);
  const Encoding bare = post_process(spec.post_processor, {one}, false);
  const auto place = std::find(whole.ids.begin(), whole.ids.end(), marker);
  simple_post = std::count(whole.ids.begin(), whole.ids.end(), marker) == 1 && bare.ids == one.ids;
  if (!simple_post) return;
  before.assign(whole.ids.begin(), place);
  after.assign(place + 1, whole.ids.end());
}

class Tokenizer::Parts::Borrowed {
 public:
  explicit Borrowed(const Parts& parts) : parts_(parts) {
    const std::lock_guard lock(parts.pool_mutex_);
    if (!parts.pool_.empty()) {
      scratch_ = std::move(parts.pool_.back());
      parts.pool_.pop_back();
    }
    if (!scratch_) scratch_ = std::make_unique<Scratch>();
  }
  ~Borrowed() {
    const std::lock_guard lock(parts_.pool_mutex_);
    parts_.pool_.push_back(std::move(scratch_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Scratch& operator*() { return *scratch_; }

 private:
  const Parts& parts_;
  std::unique_ptr<Scratch> scratch_;
};

class Tokenizer::Parts::IdSink {
 public:
  static constexpr Tracking tracking = Tracking::off;
  explicit IdSink(std::vector<TokenId>& out) : out_(out) {}
  void added(const AddedToken& token, std::string_view, Align) { out_.push_back(token.id); }
  void word(const AlignedText&, ByteRange, std::span<const WordToken> tokens) {
    for (const WordToken& token : tokens) out_.push_back(token.id);
  }

 private:
  std::vector<TokenId>& out_;
};

class Tokenizer::Parts::EncodingSink {
 public:
  static constexpr Tracking tracking = Tracking::on;
  EncodingSink(const Parts& parts, Encoding& out) : parts_(parts), out_(out) {}
  void added(const AddedToken& token, std::string_view text, Align origin) { push(token.id, std::string(text), origin); }
  void word(const AlignedText& text, ByteRange word, std::span<const WordToken> tokens) {
    for (const WordToken& token : tokens) {
      const uint32_t begin = word.begin + token.begin, end = word.begin + token.end;
      Align origin{token.begin, token.end};  // as the reference does for tokens that are longer than their word
      if (end <= word.end && begin < end) origin = text.origin(begin, end);
      const bool keeps = parts_.model->unknown_keeps_text(token.id) && end <= word.end;
      push(token.id,
           keeps ? std::string(text.text().substr(begin, end - begin)) : std::string(parts_.pieces[static_cast<size_t>(token.id)]), origin);
    }
  }

 private:
  void push(TokenId id, std::string piece, Align origin) {
    out_.ids.push_back(id);
    out_.pieces.push_back(std::move(piece));
    out_.byte_offsets.push_back({origin.begin, origin.end});
  }
  const Parts& parts_;
  Encoding& out_;
};

template <class Sink>
void Tokenizer::Parts::run_word(const AlignedText& text, ByteRange word, Scratch& scratch, Sink& sink) const {
  const std::string_view bytes = text.text().substr(word.begin, word.end - word.begin);
  const bool keeps = bytes.size() <= WordCache::longest_word;
  const uint64_t hash = keeps ? hash_bytes(bytes) : 0;
  if (keeps) {
    if (const auto found = scratch.cache.find(bytes, hash); found.begin != nullptr) return sink.word(text, word, found.tokens());
  }
  scratch.tokens.clear();
  model->tokenize(bytes, scratch.tokens);
  if (keeps) scratch.cache.insert(bytes, hash, scratch.tokens);
  sink.word(text, word, scratch.tokens);
}

template <class Sink>
bool Tokenizer::Parts::run_words(AlignedText& text, Scratch& scratch, Sink& sink) const {
  scratch.words.clear();
  if (!pre_tokenizer.apply(text, scratch.words)) return false;
  const std::string_view all = text.text();
  for (const ByteRange& word : scratch.words) {
    uint32_t begin = word.begin;
    while (starts_at_mark && begin < word.end) {  // cut before every mark that follows another character
      size_t end = begin;
      while (end < word.end && all.substr(end).starts_with(mark_text)) end += mark_text.size();
      end = std::min<size_t>(all.substr(0, word.end).find(mark_text, end), word.end);
      run_word(text, {begin, static_cast<uint32_t>(end)}, scratch, sink);
      begin = static_cast<uint32_t>(end);
    }
    if (begin < word.end) run_word(text, {begin, word.end}, scratch, sink);
  }
  return true;
}

template <class Sink>
bool Tokenizer::Parts::run_part(std::string_view text, ByteRange range, SpecialTokens special_tokens, Tracking tracking, Scratch& scratch,
                                Sink& sink) const {
  AlignedText aligned(text.substr(range.begin, range.end - range.begin), range.begin, tracking);
  normalizer.apply(aligned);
  if (normalized.empty()) return run_words(aligned, scratch, sink);
  scratch.inner.clear();
  normalized.find(aligned.text(), special_tokens, scratch.inner);
  if (scratch.inner.size() == 1 && scratch.inner[0].token < 0) return run_words(aligned, scratch, sink);
  for (const AddedPart& part : scratch.inner) {
    if (part.token < 0) {
      AlignedText slice = aligned.slice(part.range);
      if (!run_words(slice, scratch, sink)) return false;
      continue;
    }
    const std::string_view piece = aligned.text().substr(part.range.begin, part.range.end - part.range.begin);
    sink.added(spec.added_tokens[static_cast<size_t>(part.token)], piece,
               aligned.tracked() ? aligned.origin(part.range.begin, part.range.end) : Align{});
  }
  return true;
}

template <class Sink>
void Tokenizer::Parts::run(std::string_view text, SpecialTokens special_tokens, Scratch& scratch, Sink& sink) const {
  if (text.size() > longest_text) {
    throw InputError("{}: a text of {} bytes, at most {} can be encoded at once; split it", spec.source, text.size(), longest_text);
  }
  const Tracking tracking = pre_tokenizer.needs_tracking() ? Tracking::on : Sink::tracking;
  scratch.parts.clear();
  plain.find(text, special_tokens, scratch.parts);
  for (const AddedPart& part : scratch.parts) {
    if (part.token >= 0) {
      const std::string_view piece = text.substr(part.range.begin, part.range.end - part.range.begin);
      sink.added(spec.added_tokens[static_cast<size_t>(part.token)], piece, {part.range.begin, part.range.end});
    } else if (!run_part(text, part.range, special_tokens, tracking, scratch, sink)) {
      run_part(text, part.range, special_tokens, Tracking::on, scratch, sink);
    }
  }
}

void Tokenizer::Parts::encode_ids(std::string_view text, SpecialTokens special_tokens, std::vector<TokenId>& out) const {
  Borrowed scratch(*this);
  IdSink sink(out);
  run(text, special_tokens, *scratch, sink);
}

Encoding Tokenizer::Parts::encode(std::string_view text, SpecialTokens special_tokens, int32_t type_id) const {
  Encoding out;
  {
    Borrowed scratch(*this);
    EncodingSink sink(*this, out);
    run(text, special_tokens, *scratch, sink);
  }
  std::vector<uint32_t> char_of(text.size() + 1);  // by byte: the number of the character it is in
  uint32_t chars = 0;
  for (size_t at = 0; at < text.size(); ++chars) {
    const size_t length = char_length(text[at]);
    std::fill_n(char_of.begin() + static_cast<ptrdiff_t>(at), length, chars);
    at += length;
  }
  char_of[text.size()] = chars;
  for (const Span& span : out.byte_offsets) {
    const auto size = static_cast<int64_t>(text.size());
    const auto at = [&](int64_t byte) { return static_cast<int64_t>(char_of[static_cast<size_t>(byte)]); };
    out.offsets.push_back(span.begin < size && span.end <= size ? Span{at(span.begin), at(span.end)} : span);
  }
  out.type_ids.assign(out.ids.size(), type_id);
  out.attention_mask.assign(out.ids.size(), 1);
  return out;
}

Encoding Tokenizer::Parts::finish(std::vector<Encoding> encodings, bool add_special_tokens) const {
  if (spec.truncation) {
    const int64_t added = add_special_tokens ? added_count(spec.post_processor, encodings.size() > 1) : 0;
    truncate(encodings, *spec.truncation, added, spec.source);
  }
  Encoding out = post_process(spec.post_processor, std::move(encodings), add_special_tokens);
  if (spec.padding) pad(out, *spec.padding);
  return out;
}

}  // namespace tessera::text
