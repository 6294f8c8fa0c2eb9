#include "tessera/text/decode_steps.h"

#include <algorithm>
#include <charconv>

#include "tessera/text/byte_level.h"
#include "tessera/text/unicode.h"

namespace tessera::text {

namespace {

using Pieces = std::vector<std::string>;

std::string replaced(const std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) {  // as in the reference: before every character and at the end
    std::string out(to);
    for (size_t at = 0; at < text.size();) {
      const size_t length = char_length(text[at]);
      out.append(text, at, length).append(to);
      at += length;
    }
    return out;
  }
  std::string out;
  size_t at = 0;
  for (size_t found = text.find(from); found != std::string::npos; found = text.find(from, at)) {
    out.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  return out.append(text, at);
}

// The blanks that word-by-word English leaves before marks and contractions.
std::string tidied(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> rules[] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                                                     {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                                                     {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : rules) text = replaced(text, from, to);
  return text;
}

Pieces from_bytes(const Pieces& pieces) {
  std::string bytes;
  for (const std::string& piece : pieces) {
    if (!from_byte_level(piece, bytes)) bytes += piece;
  }
  return {with_replacements(bytes)};
}

Pieces without_marks(Pieces pieces, const DecoderStep& step) {
  for (size_t i = 0; i < pieces.size(); ++i) {
    const bool drops = i == 0 && step.prepend_scheme != PrependScheme::never;
    pieces[i] = replaced(pieces[i], step.replacement, drops ? "" : " ");
  }
  return pieces;
}

Pieces joined_words(Pieces pieces, const DecoderStep& step) {
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0) pieces[i] = pieces[i].starts_with(step.content) ? pieces[i].substr(step.content.size()) : " " + pieces[i];
    if (step.cleanup) pieces[i] = tidied(std::move(pieces[i]));
  }
  return pieces;
}

// The byte of <0xNN>, or -1. "+A" is a number to the reference's parser too.
int fallback_byte(const std::string& piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  unsigned value = 0;
  const char* begin = piece.data() + (piece[3] == '+' ? 4 : 3);
  const auto [end, error] = std::from_chars(begin, piece.data() + 5, value, 16);
  return error == std::errc() && end == piece.data() + 5 ? static_cast<int>(value) : -1;
}

// Runs of <0xNN> become their characters, or one U+FFFD a byte when they are not UTF-8.
Pieces joined_bytes(Pieces pieces) {
  Pieces out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (valid_utf8(bytes)) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
    }
    bytes.clear();
  };
  for (std::string& piece : pieces) {
    if (const int byte = fallback_byte(piece); byte >= 0) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    out.push_back(std::move(piece));
  }
  flush();
  return out;
}

Pieces stripped(Pieces pieces, const DecoderStep& step) {
  for (std::string& piece : pieces) {
    size_t begin = 0, end = piece.size();
    for (int64_t n = 0; n < step.start && piece.compare(begin, step.content.size(), step.content) == 0 && begin < end; ++n)
      begin += step.content.size();
    for (int64_t n = 0; n < step.stop && end >= begin + step.content.size(); ++n) {
      if (piece.compare(end - step.content.size(), step.content.size(), step.content) != 0) break;
      end -= step.content.size();
    }
    piece = piece.substr(begin, end - begin);
  }
  return pieces;
}

Pieces without_repeats(Pieces pieces, const DecoderStep& step) {
  pieces.erase(std::unique(pieces.begin(), pieces.end()), pieces.end());
  Pieces out;
  for (const std::string& piece : pieces) {
    std::string text = replaced(piece, step.pad_token, "");
    if (step.cleanup) text = replaced(tidied(std::move(text)), step.word_delimiter, " ");
    if (!text.empty()) out.push_back(std::move(text));
  }
  return out;
}

Pieces substituted(Pieces pieces, const Matcher& matcher, const std::string& content) {
  std::vector<ByteRange> matches;
  for (std::string& piece : pieces) {
    matches.clear();
    matcher.find_all(piece, matches);
    if (matches.empty()) continue;
    std::string now;
    size_t at = 0;
    for (const ByteRange& match : matches) {
      now.append(piece, at, match.begin - at).append(content);
      at = match.end;
    }
    piece = now.append(piece, at);
  }
  return pieces;
}

std::string joined(const Pieces& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

}  // namespace

DecoderChain::DecoderChain(const std::vector<DecoderStep>& steps, const std::string& source) {
  for (const DecoderStep& step : steps) {
    Prepared prepared{step, nullptr};
    if (step.kind == DecoderStep::Kind::replace) prepared.matcher = std::make_unique<Matcher>(step.pattern, source);
    steps_.push_back(std::move(prepared));
  }
}

std::vector<std::string> DecoderChain::run(const Prepared& prepared, std::vector<std::string> pieces) {
  using Kind = DecoderStep::Kind;
  const DecoderStep& step = prepared.step;
  switch (step.kind) {
    case Kind::byte_level:
      return from_bytes(pieces);
    case Kind::metaspace:
      return without_marks(std::move(pieces), step);
    case Kind::wordpiece:
      return joined_words(std::move(pieces), step);
    case Kind::bpe:
      for (size_t i = 0; i < pieces.size(); ++i) pieces[i] = replaced(pieces[i], step.content, i + 1 == pieces.size() ? "" : " ");
      return pieces;
    case Kind::byte_fallback:
      return joined_bytes(std::move(pieces));
    case Kind::fuse:
      return {joined(pieces)};
    case Kind::strip:
      return stripped(std::move(pieces), step);
    case Kind::replace:
      return substituted(std::move(pieces), *prepared.matcher, step.content);
    case Kind::ctc:
      return without_repeats(std::move(pieces), step);
  }
  return pieces;
}

std::string DecoderChain::apply(std::vector<std::string> pieces) const {
  for (const Prepared& prepared : steps_) pieces = run(prepared, std::move(pieces));
  return joined(pieces);
}

}  // namespace tessera::text
