#include "tessera/train/token_cache.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"

namespace tessera::train {

namespace {

// The header has a fixed size, filled with blanks as the format allows, so that tokens can be written before their number is known.
constexpr uint64_t kHeaderBytes = 8192 - 8;

}  // namespace

TokenCacheWriter::TokenCacheWriter(const std::filesystem::path& path, int64_t vocab) : file_(path), narrow_(vocab <= 65536) {
  file_.write(std::string(8 + kHeaderBytes, ' '));
}

void TokenCacheWriter::add(std::span<const int32_t> document) {
  if (document.empty()) return;
  if (narrow_) {
    block_.assign(document.begin(), document.end());
    file_.write(block_.data(), block_.size() * sizeof(uint16_t));
  } else {
    file_.write(document.data(), document.size_bytes());
  }
  tokens_ += static_cast<int64_t>(document.size());
  ends_.push_back(tokens_);
}

void TokenCacheWriter::commit(const std::map<std::string, std::string>& metadata) {
  const int64_t split = tokens_ * (narrow_ ? 2 : 4), all = split + static_cast<int64_t>(ends_.size() * sizeof(int64_t));
  file_.write(ends_.data(), ends_.size() * sizeof(int64_t));
  nlohmann::ordered_json header{{"__metadata__", metadata},
                                {"tokens", {{"dtype", narrow_ ? "U16" : "I32"}, {"shape", {tokens_}}, {"data_offsets", {0, split}}}},
                                {"ends", {{"dtype", "I64"}, {"shape", {ends_.size()}}, {"data_offsets", {split, all}}}}};
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  if (text.size() > kHeaderBytes)
    throw WorkError("the description of a token cache has {} bytes, {} are possible", text.size(), kHeaderBytes);
  text.resize(kHeaderBytes, ' ');
  const uint64_t bytes = kHeaderBytes;
  file_.write_at(0, &bytes, sizeof bytes);
  file_.write_at(sizeof bytes, text.data(), text.size());
  file_.commit();
}

TokenCache TokenCache::open(const std::filesystem::path& path) {
  TokenCache cache;
  cache.file_ = std::make_shared<tensor::SafetensorsFile>(tensor::SafetensorsFile::open(path));
  const auto *tokens = cache.file_->find("tokens"), *ends = cache.file_->find("ends");
  const bool good = tokens != nullptr && ends != nullptr && tokens->shape.size() == 1 && ends->shape.size() == 1 &&
                    (tokens->dtype == tensor::Dtype::u16 || tokens->dtype == tensor::Dtype::i32) && ends->dtype == tensor::Dtype::i64;
  if (!good) throw InputError("{} is no token cache; remove it, and it is made anew", path.string());
  cache.narrow_ = tokens->dtype == tensor::Dtype::u16;
  cache.tokens_ = tokens->elements();
  cache.data_ = cache.file_->data(*tokens).data();
  const auto bytes = cache.file_->data(*ends);
  cache.ends_.resize(bytes.size() / sizeof(int64_t));
  if (!bytes.empty()) std::memcpy(cache.ends_.data(), bytes.data(), bytes.size());
  int64_t last = 0;
  for (const int64_t end : cache.ends_) {
    if (end <= last) throw InputError("{}: its documents end at {} and then {}; remove it, and it is made anew", path.string(), last, end);
    last = end;
  }
  if (last != cache.tokens_)
    throw InputError("{}: {} tokens, and its documents end at {}; remove it, and it is made anew", path.string(), cache.tokens_, last);
  return cache;
}

int32_t TokenCache::token(int64_t at) const {
  if (narrow_) {
    uint16_t value = 0;
    std::memcpy(&value, data_ + 2 * at, sizeof value);
    return value;
  }
  int32_t value = 0;
  std::memcpy(&value, data_ + 4 * at, sizeof value);
  return value;
}

}  // namespace tessera::train
