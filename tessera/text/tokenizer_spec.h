#pragma once
// What a tokenizer is, as plain data: what a tokenizer.json says, and what a tokenizer.model or a GGUF vocabulary is turned into.
// Steps of one kind run in the order of their vector; nested "Sequence" steps are flattened. The meaning of every field is the one
// Hugging Face `tokenizers` gives to the field of that name.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tessera::text {

using TokenId = int32_t;

// One entry of the model's vocabulary. Ids may have holes; a piece or an id given twice is refused when the Tokenizer is built.
struct VocabEntry {
  std::string piece;  // UTF-8, as written in the file: byte-level pieces stay in their printable alphabet ("Ġthe")
  TokenId id = 0;     // >= 0
  double score = 0;   // Unigram: natural log of the probability; else unused
};

// One BPE merge; its rank is its place in the list. `merged` is the id of left's piece followed by right's.
struct Merge {
  TokenId left = 0, right = 0, merged = 0;
};

// A token outside the model's vocabulary, or one that is matched before the model sees the text (<|im_end|>, [MASK], <image>).
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;      // skipped by decode(..., skip_special_tokens)
  bool normalized = false;   // matched against the normalised text, in its normalised form
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // takes the white space on its left with it
  bool rstrip = false;       // takes the white space on its right with it
};

// Text to look for: itself, or a regular expression in Oniguruma's Ruby syntax as far as PCRE2 agrees with it.
struct Pattern {
  std::string text;
  bool regex = false;
};

struct NormalizerStep {
  enum class Kind { nfc, nfd, nfkc, nfkd, lowercase, strip, strip_accents, replace, prepend, bert, precompiled, byte_level, nmt };
  Kind kind = Kind::nfc;
  bool left = true, right = true;  // strip
  Pattern pattern;                 // replace
  std::string content;             // replace, prepend: the text; precompiled: the charsmap's bytes
  bool clean_text = true, handle_chinese_chars = true, lowercase_all = true;  // bert
  std::optional<bool> strip_accents;                                          // bert; absent: as lowercase_all
};

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
enum class PrependScheme { first, never, always };

struct PreTokenizerStep {
  enum class Kind {
    byte_level,
    split,
    digits,
    punctuation,
    whitespace,
    whitespace_split,
    metaspace,
    bert,
    char_delimiter,
    unicode_scripts,
    fixed_length
  };
  Kind kind = Kind::byte_level;
  bool add_prefix_space = true, use_regex = true;        // byte_level
  Pattern pattern;                                       // split
  bool invert = false;                                   // split
  SplitBehavior behavior = SplitBehavior::isolated;      // split, punctuation
  bool individual_digits = false;                        // digits
  std::string replacement = "\u2581";                    // metaspace, char_delimiter: one character
  PrependScheme prepend_scheme = PrependScheme::always;  // metaspace
  bool split = true;                                     // metaspace
  int64_t length = 5;                                    // fixed_length: characters, >= 1
};

// One item of a template: a sequence (A or B) or special tokens, with the type id it gives to its tokens.
struct TemplateItem {
  enum class Kind { sequence_a, sequence_b, special };
  Kind kind = Kind::sequence_a;
  int32_t type_id = 0;
  std::vector<TokenId> ids;         // special
  std::vector<std::string> pieces;  // special, one an id
};

struct PostProcessorStep {
  enum class Kind { template_processing, byte_level, bert, roberta };
  Kind kind = Kind::template_processing;
  std::vector<TemplateItem> single, pair;             // template_processing
  bool trim_offsets = true, add_prefix_space = true;  // byte_level, roberta
  std::string sep = "[SEP]", cls = "[CLS]";           // bert, roberta
  TokenId sep_id = 0, cls_id = 0;
};

struct DecoderStep {
  enum class Kind { byte_level, metaspace, wordpiece, bpe, byte_fallback, fuse, strip, replace, ctc };
  Kind kind = Kind::byte_level;
  std::string content;                 // strip: one character; replace: the new text; wordpiece: the prefix; bpe: the suffix
  Pattern pattern;                     // replace
  int64_t start = 0, stop = 0;         // strip: at most so many characters
  bool cleanup = true;                 // wordpiece, ctc
  std::string replacement = "\u2581";  // metaspace
  PrependScheme prepend_scheme = PrependScheme::always;   // metaspace
  std::string pad_token = "<pad>", word_delimiter = "|";  // ctc
};

struct Truncation {
  int64_t max_length = 512, stride = 0;
  bool left = false;
  enum class Strategy { longest_first, only_first, only_second } strategy = Strategy::longest_first;
};

struct Padding {
  int64_t length = 0;              // fixed length; 0 for one text: nothing to pad to
  int64_t pad_to_multiple_of = 0;  // 0: none
  bool left = false;
  TokenId pad_id = 0;
  int32_t pad_type_id = 0;
  std::string pad_token = "[PAD]";
};

struct TokenizerSpec {
  std::string source = "tokenizer";  // what error lines call it: the file's path

  enum class Model { bpe, unigram, wordpiece, wordlevel };
  Model model = Model::bpe;
  std::vector<VocabEntry> vocab;
  std::vector<Merge> merges;               // bpe, by rank
  std::optional<std::string> unk_token;    // bpe, wordpiece, wordlevel
  std::optional<TokenId> unk_id;           // unigram
  std::string continuing_subword_prefix;   // bpe (none: empty), wordpiece ("##")
  std::string end_of_word_suffix;          // bpe
  bool fuse_unk = false;                   // bpe (unigram always fuses)
  bool byte_fallback = false;              // bpe, unigram: unknown characters become <0xNN> pieces when the vocabulary has them
  bool ignore_merges = false;              // bpe: a whole word of the vocabulary is taken as it is
  int64_t max_input_chars_per_word = 100;  // wordpiece

  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<PostProcessorStep> post_processor;
  std::vector<DecoderStep> decoder;
  bool has_decoder = false;  // without one, decoding joins pieces with a blank
  std::vector<AddedToken> added_tokens;
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;

  // Roles, as tokenizer_config.json, special_tokens_map.json or the GGUF header name them.
  std::optional<TokenId> bos_id, eos_id, pad_id, unk_role_id;
  std::optional<std::string> chat_template;  // Jinja source, when the model brings one
};

}  // namespace tessera::text
