#include "tessera/text/tokenizer.h"

#include "tessera/text/tokenizer_parts.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

// Any bytes as valid UTF-8, and where its bytes were before broken ones became U+FFFD.
class CleanText {
 public:
  explicit CleanText(std::string_view given) : given_(given), view_(given) {
    if (valid_utf8(given)) return;
    own_ = with_replacements(given);
    view_ = own_;
  }
  std::string_view view() const { return view_; }
  void restore(std::vector<Span>& spans) const {
    if (own_.empty()) return;
    std::vector<int64_t> before;  // by byte of the clean text
    before.reserve(own_.size() + 1);
    for (size_t at = 0; at < given_.size();) {
      const size_t broken = broken_length(given_, at);
      const size_t length = broken > 0 ? broken : char_length(given_[at]);
      const size_t now = broken > 0 ? 3 : length;
      before.insert(before.end(), now, static_cast<int64_t>(at));
      at += length;
    }
    before.push_back(static_cast<int64_t>(given_.size()));
    for (Span& span : spans) {
      if (span.end >= static_cast<int64_t>(before.size())) continue;
      span = {before[static_cast<size_t>(span.begin)], before[static_cast<size_t>(span.end)]};
    }
  }

 private:
  std::string_view given_, view_;
  std::string own_;
};

SpecialTokens special_tokens(const EncodeOptions& options) {
  return options.parse_special_tokens ? SpecialTokens::parse : SpecialTokens::as_text;
}

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec) : parts_(std::make_unique<const Parts>(std::move(spec))) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Encoding Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const CleanText clean(text);
  std::vector<Encoding> one;
  one.push_back(parts_->encode(clean.view(), special_tokens(options), 0));
  clean.restore(one[0].byte_offsets);
  return parts_->finish(std::move(one), options.add_special_tokens);
}

Encoding Tokenizer::encode_pair(std::string_view first, std::string_view second, EncodeOptions options) const {
  std::vector<Encoding> two;
  for (const std::string_view text : {first, second}) {
    const CleanText clean(text);
    two.push_back(parts_->encode(clean.view(), special_tokens(options), static_cast<int32_t>(two.size())));
    clean.restore(two.back().byte_offsets);
  }
  return parts_->finish(std::move(two), options.add_special_tokens);
}

std::vector<TokenId> Tokenizer::encode_ids(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> out;
  encode_ids(text, options, out);
  return out;
}

void Tokenizer::encode_ids(std::string_view text, EncodeOptions options, std::vector<TokenId>& out) const {
  if (!parts_->simple_post) {
    const Encoding whole = encode(text, options);
    out.insert(out.end(), whole.ids.begin(), whole.ids.end());
    return;
  }
  const CleanText clean(text);
  if (options.add_special_tokens) out.insert(out.end(), parts_->before.begin(), parts_->before.end());
  parts_->encode_ids(clean.view(), special_tokens(options), out);
  if (options.add_special_tokens) out.insert(out.end(), parts_->after.begin(), parts_->after.end());
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const TokenId id : ids) {
    if (id < 0 || id >= size() || !parts_->known[static_cast<size_t>(id)]) continue;
    if (skip_special_tokens && parts_->skipped[static_cast<size_t>(id)]) continue;
    pieces.emplace_back(parts_->decoded(id));
  }
  if (parts_->spec.has_decoder || !parts_->spec.decoder.empty()) return parts_->decoder.apply(std::move(pieces));
  std::string out;
  for (size_t i = 0; i < pieces.size(); ++i) out.append(i > 0 ? " " : "").append(pieces[i]);
  return out;
}

int64_t Tokenizer::size() const { return static_cast<int64_t>(parts_->pieces.size()); }

std::optional<std::string> Tokenizer::piece(TokenId id) const {
  if (id < 0 || id >= size() || !parts_->known[static_cast<size_t>(id)]) return std::nullopt;
  return std::string(parts_->pieces[static_cast<size_t>(id)]);
}

std::optional<TokenId> Tokenizer::id(std::string_view piece) const {
  const TokenId found = parts_->ids.find(piece);
  return found < 0 ? std::nullopt : std::optional<TokenId>(found);
}

bool Tokenizer::is_special(TokenId id) const { return id >= 0 && id < size() && parts_->special[static_cast<size_t>(id)]; }
std::optional<TokenId> Tokenizer::bos_id() const { return parts_->spec.bos_id; }
std::optional<TokenId> Tokenizer::eos_id() const { return parts_->spec.eos_id; }
std::optional<TokenId> Tokenizer::pad_id() const { return parts_->spec.pad_id; }
std::optional<TokenId> Tokenizer::unk_id() const { return parts_->spec.unk_role_id; }
const TokenizerSpec& Tokenizer::spec() const { return parts_->spec; }

}  // namespace tessera::text
