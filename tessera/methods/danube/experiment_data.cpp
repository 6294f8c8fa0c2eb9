// The experiment's texts, vocabulary and windows.

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/data/sources.h"
#include "tessera/methods/danube/experiment.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/train_bpe.h"
#include "tessera/train/corpus.h"

namespace tessera::danube {

namespace {

std::string made_up_document(uint64_t number) {
  constexpr std::array<std::string_view, 12> list = {"river", "stone", "carries", "the",    "a",   "light",
                                                     "under", "old",   "bridge",  "slowly", "and", "wind"};
  RandomStream random(number, "danube/words");
  std::string text;
  for (size_t i = 0; i < 400; ++i) text += std::string(list[random.below(list.size())]) + (i % 12 == 11 ? ".\n" : " ");
  return text;
}

}  // namespace

Prose read_prose(const Plan& plan, bool quick) {
  Prose prose;
  std::vector<std::string> documents;
  uint64_t bytes = 0;
  for (const char* name : {"debian-handbook", "anarchism"}) {
    if (!data::installed(data::find_source(name))) {
      if (!quick) (void)data::read_documents(name);  // says how to install it
      continue;
    }
    prose.what += (prose.what.empty() ? "" : ", ") + std::string(name);
    data::for_each_document(data::find_source(name), {}, [&](data::Document&& document) {
      bytes += document.text.size();
      documents.push_back(std::move(document.text));
      return bytes < plan.text_bytes;
    });
  }
  if (documents.size() < 40) {
    prose.what = "made-up words";
    prose.real = false;
    documents.clear();
    for (uint64_t i = 0; i < 80; ++i) documents.push_back(made_up_document(i));
  }
  for (size_t i = 0; i < documents.size(); ++i)
    (i % 20 == 10 ? prose.test : i % 20 == 5 ? prose.validation : prose.training).push_back(std::move(documents[i]));
  prose.tokenizer = train_vocabulary(prose.training, plan.vocab);
  return prose;
}

std::shared_ptr<const text::Tokenizer> train_vocabulary(const std::vector<std::string>& documents, int64_t size) {
  const text::VocabOptions options{.size = size, .special_tokens = {std::string(train::kEndOfText)}};
  const auto spec = text::train_bpe(text::texts_of(documents), text::BpeKind::byte_level, options);
  return std::make_shared<const text::Tokenizer>(text::Tokenizer::from_json(text::to_tokenizer_json(spec), "the experiment's vocabulary"));
}

train::TokenCache tokenised(const std::vector<std::string>& documents, const text::Tokenizer& tokenizer,
                            const std::filesystem::path& file) {
  train::TokenCacheWriter writer(file, tokenizer.size());
  for (const auto& document : documents) {
    const auto ids = tokenizer.encode_ids(document, {.add_special_tokens = false, .parse_special_tokens = false});
    std::vector<int32_t> tokens(ids.begin(), ids.end());
    tokens.push_back(static_cast<int32_t>(tokenizer.id(train::kEndOfText).value()));
    writer.add(tokens);
  }
  writer.commit({});
  auto cache = train::TokenCache::open(file);
  std::filesystem::remove(file);
  return cache;
}

std::vector<std::vector<int64_t>> held_out_windows(const std::vector<std::string>& documents, const text::Tokenizer& tokenizer,
                                                   int64_t length, int64_t count) {
  std::vector<std::vector<int64_t>> all, chosen;
  for (const auto& document : documents) {
    const auto ids = tokenizer.encode_ids(document, {.add_special_tokens = false, .parse_special_tokens = false});
    for (size_t at = 0; at + static_cast<size_t>(length) < ids.size(); at += static_cast<size_t>(length))
      all.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(at), ids.begin() + static_cast<std::ptrdiff_t>(at) + length + 1);
  }
  if (all.empty()) throw InputError("the held-out text has no window of {} tokens; install the whole text", length);
  const auto wanted = std::min(static_cast<size_t>(count), all.size());
  for (size_t i = 0; i < wanted; ++i) chosen.push_back(all[i * all.size() / wanted]);
  return chosen;
}

}  // namespace tessera::danube
