#pragma once
// A corpus as tokens on disk: written once, then mapped, so that any token is reached at once and a corpus may exceed the memory.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tessera/base/files.h"
#include "tessera/tensor/safetensors.h"

namespace tessera::train {

// Writes a safetensors file with `tokens` (U16, or I32 for vocabularies above 65536) and `ends` (I64: one past each document's last token),
// a document at a time; nothing of the tokens stays in memory.
class TokenCacheWriter {
 public:
  TokenCacheWriter(const std::filesystem::path& path, int64_t vocab);
  void add(std::span<const int32_t> document);  // an empty one is left out
  // Completes the file. `metadata` are short texts that say where the tokens are from. Throws WorkError when the disk is full.
  void commit(const std::map<std::string, std::string>& metadata);
  int64_t tokens() const { return tokens_; }

 private:
  AtomicFile file_;
  bool narrow_;
  int64_t tokens_ = 0;
  std::vector<int64_t> ends_;
  std::vector<uint16_t> block_;
};

class TokenCache {
 public:
  // Throws InputError when the file is no token cache or its numbers contradict each other.
  static TokenCache open(const std::filesystem::path& path);

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return static_cast<int64_t>(ends_.size()); }
  int64_t begin(int64_t document) const { return document == 0 ? 0 : ends_[document - 1]; }
  int64_t end(int64_t document) const { return ends_[document]; }
  int32_t token(int64_t at) const;  // 0 <= at < tokens()
  const std::map<std::string, std::string>& metadata() const { return file_->metadata(); }

 private:
  std::shared_ptr<const tensor::SafetensorsFile> file_;
  const std::byte* data_ = nullptr;
  bool narrow_ = true;
  int64_t tokens_ = 0;
  std::vector<int64_t> ends_;
};

}  // namespace tessera::train
