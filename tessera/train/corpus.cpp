#include "tessera/train/corpus.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <thread>

#include "tessera/base/error.h"
#include "tessera/data/prose.h"
#include "tessera/data/records.h"
#include "tessera/data/sources.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/train_bpe.h"

namespace tessera::train {

namespace fs = std::filesystem;

namespace {

bool is_source(const std::string& name) {
  return std::any_of(data::sources().begin(), data::sources().end(), [&](const auto& source) { return source.name == name; });
}

// "anarchism=3" -> anarchism, 3. A path that holds '=' and exists is taken as it is.
CorpusName split_weight(const std::string& word) {
  const auto equals = word.rfind('=');
  if (fs::exists(word) || equals == std::string::npos) return {.name = {}, .given = word};
  CorpusName corpus{.name = {}, .given = word.substr(0, equals)};
  std::string number = word.substr(equals + 1);
  if (number.ends_with("%")) number.pop_back();  // weights are shares of their sum: 70% and 30% are 7 and 3
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), corpus.weight);
  if (error != std::errc() || end != number.data() + number.size() || !(corpus.weight > 0.0) || !std::isfinite(corpus.weight))
    throw InputError("--data {}: its weight is {}; give a number above 0", tessera::quoted(word), tessera::quoted(number));
  return corpus;
}

std::string short_name(const std::string& given) {
  fs::path path(given);
  if (path.filename().empty()) path = path.parent_path();
  std::string name = path.filename().string();
  if (!is_source(given)) name = name.substr(0, name.find('.', 1));
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_') c = '-';
  return name.empty() || name == "-" ? "text" : name;
}

// Documents by parts of about this many bytes, cut at line ends: what is encoded by one thread, and held out.
constexpr size_t kPartBytes = 16384;

std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  while (text.size() > 2 * kPartBytes) {
    auto end = text.find('\n', kPartBytes);
    if (end == std::string_view::npos || end > 2 * kPartBytes) end = text.rfind(' ', 2 * kPartBytes);
    if (end == std::string_view::npos || end == 0) break;  // one long word
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (!text.empty()) parts.push_back(text);
  return parts;
}

struct EncodedPart {
  std::string_view text;
  bool first = false, last = false;  // of its document
  std::vector<int32_t> ids = {};
};

void encode_parts(const text::Tokenizer& tokenizer, std::vector<EncodedPart>& parts) {
  const size_t threads = std::min<size_t>(std::max(1U, std::thread::hardware_concurrency()), 1 + parts.size() / 8);
  const auto work = [&](size_t from) {
    for (size_t i = from; i < parts.size(); i += threads)
      tokenizer.encode_ids(parts[i].text, {.add_special_tokens = false, .parse_special_tokens = false}, parts[i].ids);
  };
  std::vector<std::jthread> helpers;
  for (size_t t = 1; t < threads; ++t) helpers.emplace_back(work, t);
  work(0);
}

// Takes documents, encodes some megabytes at a time, and splits what is held out from the rest.
class Tokeniser {
 public:
  Tokeniser(const text::Tokenizer& tokenizer, const TokeniseOptions& options)
      : tokenizer_(tokenizer), options_(options), kept_(options.path, tokenizer.size()) {
    if (options.held_out > 0.0) held_.emplace(options.held_out_path, tokenizer.size());
  }

  void add(std::string&& text) {
    waiting_bytes_ += text.size();
    waiting_.push_back(std::move(text));
    if (waiting_bytes_ > (size_t{8} << 20)) flush();
  }

  void finish(const std::string& name) {
    flush();
    if (kept_.tokens() < 2) throw InputError("{} holds {} bytes of text; give more", name, bytes_);
    const std::map<std::string, std::string> about{{"corpus", name}, {"tokenizer", options_.about}};
    kept_.commit(about);
    if (held_) held_->commit(about);
  }

 private:
  void flush() {
    std::vector<EncodedPart> parts;
    for (const auto& text : waiting_) {
      const size_t first = parts.size();
      for (const auto part : parts_of(text)) parts.push_back({.text = part, .ids = {}});
      if (parts.size() == first) continue;
      parts[first].first = true;
      parts.back().last = true;
    }
    encode_parts(tokenizer_, parts);
    for (auto& part : parts) place(part);
    waiting_.clear();
    waiting_bytes_ = 0;
    if (options_.progress) options_.progress(bytes_);
  }

  void place(EncodedPart& part) {
    bytes_ += part.text.size();
    if (part.last)
      if (const auto end = tokenizer_.eos_id()) part.ids.push_back(*end);
    const size_t middle = held_bytes_ + part.text.size() / 2;
    const bool hold = held_ && static_cast<double>(bytes_) * options_.held_out >= static_cast<double>(middle);
    if (hold) {
      held_bytes_ += part.text.size();
      held_->add(part.ids);
    } else {
      document_.insert(document_.end(), part.ids.begin(), part.ids.end());
    }
    if (!part.last && !hold) return;
    kept_.add(document_);  // a document ends, or is interrupted by what was held out
    document_.clear();
  }

  const text::Tokenizer& tokenizer_;
  const TokeniseOptions& options_;
  TokenCacheWriter kept_;
  std::optional<TokenCacheWriter> held_;
  std::vector<std::string> waiting_;
  std::vector<int32_t> document_;
  size_t waiting_bytes_ = 0;
  uint64_t bytes_ = 0, held_bytes_ = 0;
};

}  // namespace

std::vector<CorpusName> parse_corpora(const std::vector<std::string>& words, bool tokenised) {
  std::vector<CorpusName> corpora;
  for (const auto& word : words) {
    CorpusName corpus = split_weight(word);
    if (!tokenised && !fs::exists(corpus.given) && !is_source(corpus.given)) {
      try {
        (void)data::find_source(corpus.given);
      } catch (const InputError& error) {
        throw InputError("--data {}: neither a file or folder nor a source: {}", tessera::quoted(corpus.given), error.what());
      }
    }
    const std::string base = short_name(corpus.given);
    corpus.name = base;
    const auto taken = [&] {
      return std::any_of(corpora.begin(), corpora.end(), [&](const auto& other) { return other.name == corpus.name; });
    };
    for (int n = 2; taken(); ++n) corpus.name = fmt::format("{}-{}", base, n);
    corpora.push_back(std::move(corpus));
  }
  return corpora;
}

void for_each_text(const CorpusName& corpus, const std::function<bool(std::string&&)>& sink) {
  if (!fs::exists(corpus.given)) {
    data::for_each_document(data::find_source(corpus.given), {}, [&](data::Document&& document) { return sink(std::move(document.text)); });
    return;
  }
  const auto records = data::open_records(corpus.given);
  for (data::Row row; records->next(row);) {
    std::string text = row.text("text");
    if (!text.empty() && !sink(std::move(text))) return;
  }
}

void tokenise(const CorpusName& corpus, const text::Tokenizer& tokenizer, const TokeniseOptions& options) {
  Tokeniser tokeniser(tokenizer, options);
  for_each_text(corpus, [&](std::string&& text) {
    tokeniser.add(std::move(text));
    return true;
  });
  tokeniser.finish(tessera::quoted(corpus.given));
}

std::string train_tokenizer(const std::vector<CorpusName>& corpora, int64_t size, const std::function<void(std::string_view)>& phase) {
  constexpr size_t most = size_t{64} << 20;
  std::vector<std::string> texts;
  size_t bytes = 0;
  for (const auto& corpus : corpora) {
    const size_t until = bytes + most / corpora.size();
    for_each_text(corpus, [&](std::string&& text) {
      bytes += text.size();
      texts.push_back(std::move(text));
      return bytes < until;
    });
  }
  text::VocabOptions options{.size = size, .special_tokens = {std::string(kEndOfText)}};
  if (phase) options.progress = [&](std::string_view name, int64_t, int64_t) { phase(name); };
  auto spec = text::train_bpe(text::texts_of(std::move(texts)), text::BpeKind::byte_level, options);
  return text::to_tokenizer_json(spec);
}

}  // namespace tessera::train
