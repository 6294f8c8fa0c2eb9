// The "model" section of tokenizer.json.

#include <limits>

#include "tessera/base/error.h"
#include "tessera/text/piece_table.h"
#include "tessera/text/tokenizer_json.h"

namespace tessera::text {

namespace {

constexpr int64_t greatest_id = std::numeric_limits<TokenId>::max();

void parse_vocab_object(const JsonNode& vocab, TokenizerSpec& spec) {
  const auto members = vocab.object();
  spec.vocab.reserve(members.size());
  for (const auto member : members) {
    int64_t id = 0;
    if (member.value.get_int64().get(id) != simdjson::SUCCESS || id < 0 || id > greatest_id) {
      vocab.at(member.key).refuse(fmt::format("an id from 0 to {}", greatest_id));
    }
    spec.vocab.push_back({std::string(member.key), static_cast<TokenId>(id), 0});
  }
}

void parse_vocab_list(const JsonNode& vocab, TokenizerSpec& spec) {
  spec.vocab.reserve(vocab.array().size());
  for (const simdjson::dom::element item : vocab.array()) {
    std::string_view piece;
    double score = 0;
    if (item.at(0).get_string().get(piece) != simdjson::SUCCESS || item.at(1).get_double().get(score) != simdjson::SUCCESS) {
      vocab.refuse_as(fmt::format("a list whose item {} is not a piece with its score", spec.vocab.size()), "[[piece, score], ...]");
    }
    spec.vocab.push_back({std::string(piece), static_cast<TokenId>(spec.vocab.size()), score});
  }
}

// Merges as the ids of their parts and of the whole.
class MergeReader {
 public:
  explicit MergeReader(TokenizerSpec& spec) : spec_(spec), ids_(spec.vocab.size()) {
    for (const VocabEntry& entry : spec.vocab) ids_.insert(entry.piece, entry.id);
  }
  void read(const JsonNode& merges) {
    spec_.merges.reserve(merges.array().size());
    for (const simdjson::dom::element item : merges.array()) {
      std::string_view left, right, line;
      if (item.get_string().get(line) == simdjson::SUCCESS) {
        if (line.starts_with("#version")) continue;
        const size_t blank = line.find(' ');
        if (blank == std::string_view::npos || line.find(' ', blank + 1) != std::string_view::npos)
          bad(merges, fmt::format("\"{}\"", tessera::quoted(line)));
        left = line.substr(0, blank);
        right = line.substr(blank + 1);
      } else if (item.at(0).get_string().get(left) != simdjson::SUCCESS || item.at(1).get_string().get(right) != simdjson::SUCCESS) {
        bad(merges, "not a pair of pieces");
      }
      add(merges, left, right);
    }
  }

 private:
  [[noreturn]] void bad(const JsonNode& merges, const std::string& given) const {
    merges.refuse_as(fmt::format("a list whose item {} is {}", spec_.merges.size(), given), "\"left right\" or [left, right]");
  }
  TokenId known(const JsonNode& merges, std::string_view piece) const {
    const TokenId id = ids_.find(piece);
    if (id < 0) {
      merges.refuse_as(fmt::format("a list whose item {} names the token \"{}\"", spec_.merges.size(), tessera::quoted(piece)),
                       "tokens of the vocabulary");
    }
    return id;
  }
  void add(const JsonNode& merges, std::string_view left, std::string_view right) {
    const TokenId left_id = known(merges, left), right_id = known(merges, right);
    if (right.size() < spec_.continuing_subword_prefix.size()) bad(merges, "shorter than continuing_subword_prefix");
    whole_.assign(left).append(right.substr(spec_.continuing_subword_prefix.size()));
    spec_.merges.push_back({left_id, right_id, known(merges, whole_)});
  }
  TokenizerSpec& spec_;
  PieceTable ids_;
  std::string whole_;
};

void parse_bpe(const JsonNode& node, TokenizerSpec& spec) {
  spec.model = TokenizerSpec::Model::bpe;
  if (const auto dropout = node.find("dropout"); dropout && dropout->number() != 0) {
    dropout->refuse("no dropout: it makes the ids random");
  }
  if (const auto unk = node.find("unk_token")) spec.unk_token = unk->string();
  spec.continuing_subword_prefix = node.string("continuing_subword_prefix", "");
  spec.end_of_word_suffix = node.string("end_of_word_suffix", "");
  spec.fuse_unk = node.boolean("fuse_unk", false);
  spec.byte_fallback = node.boolean("byte_fallback", false);
  spec.ignore_merges = node.boolean("ignore_merges", false);
  parse_vocab_object(node.at("vocab"), spec);
  MergeReader(spec).read(node.at("merges"));
}

void parse_wordpiece(const JsonNode& node, TokenizerSpec& spec) {
  spec.model = TokenizerSpec::Model::wordpiece;
  spec.unk_token = node.string("unk_token", "[UNK]");
  spec.continuing_subword_prefix = node.string("continuing_subword_prefix", "##");
  if (const auto most = node.find("max_input_chars_per_word")) spec.max_input_chars_per_word = most->integer(0, 1'000'000'000);
  parse_vocab_object(node.at("vocab"), spec);
}

void parse_unigram(const JsonNode& node, TokenizerSpec& spec) {
  spec.model = TokenizerSpec::Model::unigram;
  spec.byte_fallback = node.boolean("byte_fallback", false);
  parse_vocab_list(node.at("vocab"), spec);
  if (const auto unk = node.find("unk_id")) spec.unk_id = static_cast<TokenId>(unk->integer(0, greatest_id));
}

}  // namespace

void parse_vocab_model(const JsonNode& node, TokenizerSpec& spec) {
  std::string type = node.string("type", "");
  if (type.empty()) {  // files from before the field existed
    const bool list = node.at("vocab").is_array();
    type = node.find("merges") ? "BPE" : list ? "Unigram" : node.find("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
  }
  if (type == "BPE") return parse_bpe(node, spec);
  if (type == "WordPiece") return parse_wordpiece(node, spec);
  if (type == "Unigram") return parse_unigram(node, spec);
  if (type != "WordLevel") node.at("type").refuse("BPE, Unigram, WordPiece or WordLevel");
  spec.model = TokenizerSpec::Model::wordlevel;
  spec.unk_token = node.string("unk_token", "<unk>");
  parse_vocab_object(node.at("vocab"), spec);
}

}  // namespace tessera::text
