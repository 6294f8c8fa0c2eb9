#pragma once
// The names that tokenizer.json gives to kinds of steps and to choices, for the reader and the writer.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "tessera/text/json_node.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

template <class T>
struct Named {
  std::string_view name;
  T value;
};

inline constexpr std::array<Named<SplitBehavior>, 5> behaviors = {{{"Removed", SplitBehavior::removed},
                                                                   {"Isolated", SplitBehavior::isolated},
                                                                   {"MergedWithPrevious", SplitBehavior::merged_with_previous},
                                                                   {"MergedWithNext", SplitBehavior::merged_with_next},
                                                                   {"Contiguous", SplitBehavior::contiguous}}};
inline constexpr std::array<Named<PrependScheme>, 3> schemes = {
    {{"first", PrependScheme::first}, {"never", PrependScheme::never}, {"always", PrependScheme::always}}};

inline constexpr std::array<Named<NormalizerStep::Kind>, 13> normalizer_kinds = {{{"NFC", NormalizerStep::Kind::nfc},
                                                                                  {"NFD", NormalizerStep::Kind::nfd},
                                                                                  {"NFKC", NormalizerStep::Kind::nfkc},
                                                                                  {"NFKD", NormalizerStep::Kind::nfkd},
                                                                                  {"Lowercase", NormalizerStep::Kind::lowercase},
                                                                                  {"Strip", NormalizerStep::Kind::strip},
                                                                                  {"StripAccents", NormalizerStep::Kind::strip_accents},
                                                                                  {"Replace", NormalizerStep::Kind::replace},
                                                                                  {"Prepend", NormalizerStep::Kind::prepend},
                                                                                  {"BertNormalizer", NormalizerStep::Kind::bert},
                                                                                  {"Precompiled", NormalizerStep::Kind::precompiled},
                                                                                  {"ByteLevel", NormalizerStep::Kind::byte_level},
                                                                                  {"Nmt", NormalizerStep::Kind::nmt}}};

inline constexpr std::array<Named<PreTokenizerStep::Kind>, 11> pre_tokenizer_kinds = {
    {{"ByteLevel", PreTokenizerStep::Kind::byte_level},
     {"Split", PreTokenizerStep::Kind::split},
     {"Digits", PreTokenizerStep::Kind::digits},
     {"Punctuation", PreTokenizerStep::Kind::punctuation},
     {"Whitespace", PreTokenizerStep::Kind::whitespace},
     {"WhitespaceSplit", PreTokenizerStep::Kind::whitespace_split},
     {"Metaspace", PreTokenizerStep::Kind::metaspace},
     {"BertPreTokenizer", PreTokenizerStep::Kind::bert},
     {"CharDelimiterSplit", PreTokenizerStep::Kind::char_delimiter},
     {"UnicodeScripts", PreTokenizerStep::Kind::unicode_scripts},
     {"FixedLength", PreTokenizerStep::Kind::fixed_length}}};

inline constexpr std::array<Named<DecoderStep::Kind>, 9> decoder_kinds = {{{"ByteLevel", DecoderStep::Kind::byte_level},
                                                                           {"Metaspace", DecoderStep::Kind::metaspace},
                                                                           {"WordPiece", DecoderStep::Kind::wordpiece},
                                                                           {"BPEDecoder", DecoderStep::Kind::bpe},
                                                                           {"ByteFallback", DecoderStep::Kind::byte_fallback},
                                                                           {"Fuse", DecoderStep::Kind::fuse},
                                                                           {"Strip", DecoderStep::Kind::strip},
                                                                           {"Replace", DecoderStep::Kind::replace},
                                                                           {"CTC", DecoderStep::Kind::ctc}}};

inline constexpr std::array<Named<PostProcessorStep::Kind>, 4> post_processor_kinds = {
    {{"TemplateProcessing", PostProcessorStep::Kind::template_processing},
     {"ByteLevel", PostProcessorStep::Kind::byte_level},
     {"BertProcessing", PostProcessorStep::Kind::bert},
     {"RobertaProcessing", PostProcessorStep::Kind::roberta}}};

inline constexpr std::array<Named<Truncation::Strategy>, 3> truncation_strategies = {{{"LongestFirst", Truncation::Strategy::longest_first},
                                                                                      {"OnlyFirst", Truncation::Strategy::only_first},
                                                                                      {"OnlySecond", Truncation::Strategy::only_second}}};

// The value of a name in a table; refuses other names, listing those there are.
template <class T, size_t N>
T named(const JsonNode& node, const std::array<Named<T>, N>& table) {
  const std::string name = node.string();
  std::string names;
  for (const Named<T>& row : table) {
    if (row.name == name) return row.value;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  node.refuse("one of " + names);
}

// The name of a value, which the table has.
template <class T, size_t N>
constexpr std::string_view name_of(T value, const std::array<Named<T>, N>& table) {
  return std::find_if(table.begin(), table.end(), [&](const Named<T>& row) { return row.value == value; })->name;
}

}  // namespace tessera::text
