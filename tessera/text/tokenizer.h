#pragma once
// Text to token ids and back, exactly as Hugging Face `tokenizers` executes the same tokenizer.json. A Tokenizer does not change once
// built: any number of threads may use one.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

struct EncodeOptions {
  bool add_special_tokens = true;    // what the post-processor adds: <s>, [CLS] ... [SEP]
  bool parse_special_tokens = true;  // "<|im_end|>" in the text is the token; false: it is nine characters like any other
};

// [begin, end) in the text given to encode().
struct Span {
  int64_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

// One entry a token, all vectors of equal length.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::string> pieces;      // as in the vocabulary; unknown text of a Unigram model and added tokens: the text itself
  std::vector<Span> offsets;            // in characters (code points), as Python counts; [0, 0) for what the post-processor added
  std::vector<Span> byte_offsets;       // the same in bytes of the text given
  std::vector<int32_t> type_ids;        // 0 for the first text, 1 for the second, or as the post-processor says
  std::vector<int32_t> attention_mask;  // 0 for padding, else 1
};

class Tokenizer {
 public:
  // `path`: a model folder (tokenizer.json, or else tokenizer.model), a tokenizer.json, a tokenizer.model or a .gguf file. Roles and chat
  // template come from the files beside it. Throws InputError, naming the file and the field.
  static Tokenizer load(const std::filesystem::path& path);
  // From the text of a tokenizer.json; `source` is what errors call it. Throws InputError; never crashes, whatever the bytes.
  static Tokenizer from_json(std::string_view json, const std::string& source = "tokenizer.json");
  // From its parts. Throws InputError when they contradict each other.
  explicit Tokenizer(TokenizerSpec spec);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Any bytes: what is not UTF-8 is read as U+FFFD (one for each maximal broken part, as Python's errors="replace"), offsets included.
  // Throws InputError when a character is unknown and the model has no unknown token.
  Encoding encode(std::string_view text, EncodeOptions options = {}) const;
  // Two texts, joined by the post-processor ([CLS] a [SEP] b [SEP]).
  Encoding encode_pair(std::string_view first, std::string_view second, EncodeOptions options = {}) const;
  // The ids of encode(), several times faster; the second form appends to `out`.
  std::vector<TokenId> encode_ids(std::string_view text, EncodeOptions options = {}) const;
  void encode_ids(std::string_view text, EncodeOptions options, std::vector<TokenId>& out) const;

  // Valid UTF-8: what the ids leave incomplete becomes U+FFFD. Unknown ids are skipped, as Hugging Face does.
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens = true) const;

  int64_t size() const;  // one more than the greatest id, added tokens included
  std::optional<std::string> piece(TokenId id) const;
  std::optional<TokenId> id(std::string_view piece) const;
  bool is_special(TokenId id) const;  // an added token marked special
  std::optional<TokenId> bos_id() const;
  std::optional<TokenId> eos_id() const;
  std::optional<TokenId> pad_id() const;
  std::optional<TokenId> unk_id() const;
  const TokenizerSpec& spec() const;  // as given, for writers and for chat templates

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace tessera::text
