#include "tessera/text/train_vocab.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/text/pre_tokenize.h"
#include "tessera/text/unicode.h"

namespace tessera::text {
namespace {

using Json = nlohmann::ordered_json;
using Counter = std::unordered_map<std::string, int64_t>;

constexpr std::string_view kBlankMark = "\u2581";

WordCounts sorted_counts(Counter counter) {
  WordCounts words(std::make_move_iterator(counter.begin()), std::make_move_iterator(counter.end()));
  std::sort(words.begin(), words.end());
  return words;
}

// Calls count(text, counter) for every text and reports every 1000th.
template <class Count>
WordCounts count_texts(const TextSource& next, const TrainProgress& progress, Count count) {
  Counter counter;
  int64_t done = 0;
  while (const auto text = next()) {
    count(valid_utf8(*text) ? *text : with_replacements(*text), counter);
    if (progress && ++done % 1000 == 0) progress("count", done, 0);
  }
  return sorted_counts(std::move(counter));
}

Json replace_json(std::string_view type, std::string_view from, std::string_view to) {
  return {{"type", type}, {"pattern", {{"String", from}}}, {"content", to}};
}

[[noreturn]] void no_writer(const TokenizerSpec& spec, std::string_view what) {
  throw InputError("{}: a {} step of this kind is not written; save the tokenizer.json it came from", spec.source, what);
}

Json metaspace_json(std::string_view replacement, bool split) {
  return {{"type", "Metaspace"}, {"replacement", replacement}, {"prepend_scheme", "always"}, {"split", split}};
}

Json byte_level_json(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json decoder_json(const TokenizerSpec& spec, const DecoderStep& step) {
  using Kind = DecoderStep::Kind;
  switch (step.kind) {
    case Kind::byte_level:
      return byte_level_json(true, true);
    case Kind::byte_fallback:
      return {{"type", "ByteFallback"}};
    case Kind::fuse:
      return {{"type", "Fuse"}};
    case Kind::strip:
      return {{"type", "Strip"}, {"content", step.content}, {"start", step.start}, {"stop", step.stop}};
    case Kind::replace:
      return replace_json("Replace", step.pattern.text, step.content);
    case Kind::metaspace:
      return metaspace_json(step.replacement, true);
    default:
      no_writer(spec, "decoder");
  }
}

Json normalizer_json(const TokenizerSpec& spec, const NormalizerStep& step) {
  if (step.kind == NormalizerStep::Kind::prepend) return {{"type", "Prepend"}, {"prepend", step.content}};
  if (step.kind == NormalizerStep::Kind::nfc) return {{"type", "NFC"}};
  if (step.kind == NormalizerStep::Kind::replace && !step.pattern.regex) return replace_json("Replace", step.pattern.text, step.content);
  no_writer(spec, "normalizer");
}

Json pre_tokenizer_json(const TokenizerSpec& spec, const PreTokenizerStep& step) {
  if (step.kind == PreTokenizerStep::Kind::byte_level) return byte_level_json(step.add_prefix_space, step.use_regex);
  if (step.kind == PreTokenizerStep::Kind::metaspace && step.prepend_scheme == PrependScheme::always)
    return metaspace_json(step.replacement, step.split);
  no_writer(spec, "pre-tokenizer");
}

// null, the only step, or a Sequence under the key that holds the steps of this part.
template <class Steps, class Write>
Json sequence_json(const Steps& steps, std::string_view key, Write write) {
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return write(steps[0]);
  Json all = Json::array();
  for (const auto& step : steps) all.push_back(write(step));
  return {{"type", "Sequence"}, {std::string(key), std::move(all)}};
}

Json bpe_json(const TokenizerSpec& spec) {
  Json vocab = Json::object(), merges = Json::array();
  std::unordered_map<TokenId, const std::string*> pieces;
  for (const VocabEntry& entry : spec.vocab) {
    pieces[entry.id] = &entry.piece;
    vocab[entry.piece] = entry.id;
  }
  for (const Merge& merge : spec.merges) merges.push_back({*pieces.at(merge.left), *pieces.at(merge.right)});
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", spec.unk_token ? Json(*spec.unk_token) : Json()},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", spec.fuse_unk},
          {"byte_fallback", spec.byte_fallback},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

Json unigram_json(const TokenizerSpec& spec) {
  Json vocab = Json::array();
  for (const VocabEntry& entry : spec.vocab) vocab.push_back({entry.piece, entry.score});
  return {{"type", "Unigram"},
          {"unk_id", spec.unk_id ? Json(*spec.unk_id) : Json()},
          {"vocab", std::move(vocab)},
          {"byte_fallback", spec.byte_fallback}};
}

}  // namespace

TextSource texts_of(std::vector<std::string> texts) {
  const auto held = std::make_shared<std::pair<std::vector<std::string>, size_t>>(std::move(texts), 0);
  return [held]() -> std::optional<std::string> {
    return held->second < held->first.size() ? std::optional(held->first[held->second++]) : std::nullopt;
  };
}

TextSource lines_of(std::string text) {
  const auto held = std::make_shared<std::pair<std::string, size_t>>(std::move(text), 0);
  return [held]() -> std::optional<std::string> {
    auto& [all, at] = *held;
    if (at >= all.size()) return std::nullopt;
    const size_t end = std::min(all.find('\n', at), all.size());
    std::string line = all.substr(at, end - at);
    at = end + 1;
    return line;
  };
}

WordCounts count_marked_words(const TextSource& next, const TrainProgress& progress) {
  return count_texts(next, progress, [](const std::string& text, Counter& counter) {
    constexpr std::string_view blanks = " \t\n\v\f\r";
    for (size_t begin = text.find_first_not_of(blanks); begin != std::string::npos;) {
      const size_t end = std::min(text.find_first_of(blanks, begin), text.size());
      ++counter[std::string(kBlankMark) + text.substr(begin, end - begin)];
      begin = text.find_first_not_of(blanks, end);
    }
  });
}

WordCounts count_byte_words(const TextSource& next, const TrainProgress& progress) {
  PreTokenizerStep step;
  step.add_prefix_space = false;
  PreTokenizerChain chain({step}, "trained vocabulary");
  chain.keep_bytes();
  std::vector<ByteRange> words;
  return count_texts(next, progress, [&](const std::string& text, Counter& counter) {
    if (text.empty()) return;
    AlignedText aligned(text, 0, Tracking::off);
    words.clear();
    chain.apply(aligned, words);
    for (const ByteRange& word : words) ++counter[std::string(aligned.text().substr(word.begin, word.end - word.begin))];
  });
}

std::string to_tokenizer_json(const TokenizerSpec& spec) {
  if (!spec.post_processor.empty()) no_writer(spec, "post-processor");
  if (spec.model != TokenizerSpec::Model::bpe && spec.model != TokenizerSpec::Model::unigram) no_writer(spec, "model");
  Json added = Json::array();
  for (const AddedToken& token : spec.added_tokens) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  }
  const Json whole = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", std::move(added)},
      {"normalizer", sequence_json(spec.normalizer, "normalizers", [&](const auto& step) { return normalizer_json(spec, step); })},
      {"pre_tokenizer",
       sequence_json(spec.pre_tokenizer, "pretokenizers", [&](const auto& step) { return pre_tokenizer_json(spec, step); })},
      {"post_processor", nullptr},
      {"decoder", sequence_json(spec.decoder, "decoders", [&](const auto& step) { return decoder_json(spec, step); })},
      {"model", spec.model == TokenizerSpec::Model::bpe ? bpe_json(spec) : unigram_json(spec)}};
  return whole.dump(1);
}

}  // namespace tessera::text
