// The five messages of sentencepiece_model.proto, read by hand.

#include <cstring>

#include "tessera/base/error.h"
#include "tessera/text/sentencepiece.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

// One message's fields, in order. Every read is checked against the bytes left.
class ProtoReader {
 public:
  ProtoReader(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  uint32_t field = 0;
  uint64_t number = 0;    // of varint fields
  float real = 0;         // of fixed32 fields
  std::string_view text;  // of length-delimited fields

  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = varint();
    field = static_cast<uint32_t>(key >> 3);
    if (field == 0 || key >> 3 > 0x1FFFFFFF) fail("a field number is out of range");
    wire_ = static_cast<Wire>(key & 7);
    switch (wire_) {
      case Wire::varint:
        number = varint();
        return true;
      case Wire::fixed64:
        take(8);
        return true;
      case Wire::bytes: {
        const uint64_t length = varint();
        if (length > bytes_.size() - at_) fail("a field is longer than the file");
        text = take(static_cast<size_t>(length));
        return true;
      }
      case Wire::fixed32: {
        std::memcpy(&real, take(4).data(), 4);
        return true;
      }
    }
    fail("a field has an unknown wire type");
  }
  bool is(uint32_t wanted, Wire wire) const { return field == wanted && wire_ == wire; }
  [[noreturn]] void fail(std::string_view what) const {
    throw InputError("{}: no SentencePiece model: {} at byte {} of a message; copy the file again", source_, what, at_);
  }

 private:
  std::string_view take(size_t count) {
    if (count > bytes_.size() - at_) fail("the file ends inside a field");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    fail("a number has more than ten bytes");
  }

  std::string_view bytes_;
  const std::string& source_;
  size_t at_ = 0;
  Wire wire_ = Wire::varint;
};

SentencePiece read_piece(std::string_view bytes, const std::string& source) {
  SentencePiece piece;
  ProtoReader reader(bytes, source);
  while (reader.next()) {
    if (reader.is(1, Wire::bytes)) piece.text = reader.text;
    if (reader.is(2, Wire::fixed32)) piece.score = reader.real;
    if (!reader.is(3, Wire::varint)) continue;
    if (reader.number < 1 || reader.number > 6) reader.fail("a piece has an unknown type");
    piece.type = static_cast<PieceType>(reader.number);
  }
  if (piece.text.empty() || !valid_utf8(piece.text)) reader.fail("a piece is empty or not UTF-8");
  if (!(piece.score >= -1e30 && piece.score <= 1e30)) reader.fail("a score is no finite number");
  return piece;
}

void read_trainer(std::string_view bytes, SentencePieceModel& model) {
  ProtoReader reader(bytes, model.source);
  uint64_t type = 1;
  bool suffix = false;
  while (reader.next()) {
    if (reader.is(3, Wire::varint)) type = reader.number;
    if (reader.is(24, Wire::varint)) suffix = reader.number != 0;
    if (reader.is(35, Wire::varint)) model.byte_fallback = reader.number != 0;
    const auto id = static_cast<int32_t>(static_cast<uint32_t>(reader.number));  // negative ids are written in ten bytes
    if (reader.is(40, Wire::varint)) model.unk_id = id;
    if (reader.is(41, Wire::varint)) model.bos_id = id;
    if (reader.is(42, Wire::varint)) model.eos_id = id;
    if (reader.is(43, Wire::varint)) model.pad_id = id;
  }
  if (type == 3) throw InputError("{}: a SentencePiece WORD model; BPE, UNIGRAM and CHAR models are read", model.source);
  if (type < 1 || type > 4) reader.fail("the model type is unknown");
  if (suffix) throw InputError("{}: treat_whitespace_as_suffix is set; models that mark the start of a word are read", model.source);
  model.bpe = type == 2;
}

void read_normalizer(std::string_view bytes, SentencePieceModel& model) {
  ProtoReader reader(bytes, model.source);
  while (reader.next()) {
    if (reader.is(2, Wire::bytes)) model.charsmap = reader.text;
    if (reader.is(3, Wire::varint)) model.add_dummy_prefix = reader.number != 0;
    if (reader.is(4, Wire::varint)) model.remove_extra_whitespaces = reader.number != 0;
    if (reader.is(5, Wire::varint)) model.escape_whitespaces = reader.number != 0;
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece(std::string_view bytes, std::string source) {
  SentencePieceModel model;
  model.source = std::move(source);
  ProtoReader reader(bytes, model.source);
  while (reader.next()) {
    if (reader.is(1, Wire::bytes)) model.pieces.push_back(read_piece(reader.text, model.source));
    if (reader.is(2, Wire::bytes)) read_trainer(reader.text, model);
    if (reader.is(3, Wire::bytes)) read_normalizer(reader.text, model);
    if (reader.is(5, Wire::bytes)) {
      SentencePieceModel denormalizer;
      denormalizer.source = model.source;
      read_normalizer(reader.text, denormalizer);
      if (!denormalizer.charsmap.empty()) throw InputError("{}: the model has a denormalizer; models without one are read", model.source);
    }
  }
  if (model.pieces.empty()) throw InputError("{}: no SentencePiece model: it has no pieces; copy the file again", model.source);
  return model;
}

}  // namespace tessera::text
