#pragma once
// safetensors: 8 bytes of header length, a JSON header, the tensors' bytes without a gap. Format and limits as in the reference
// implementation (huggingface/safetensors 0.8); files that it refuses are refused here.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/tensor/bytes.h"
#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

// A file whose header has been checked in full: JSON, types, shapes, and offsets that cover the data exactly once.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);  // maps it; InputError says what is wrong and where
  static SafetensorsFile parse(Bytes bytes);                       // the same over memory

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in the order of their data
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* find(std::string_view name) const;              // null when there is none
  std::span<const std::byte> data(const TensorInfo& tensor) const;  // row-major, little-endian, at any alignment
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint64_t> begins_;  // of tensors_[i], from the start of the file
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string, size_t> index_;
};

// A model in several files, read through its model.safetensors.index.json: tensor name -> file name.
struct SafetensorsShards {
  std::vector<SafetensorsFile> files;
  std::vector<std::pair<size_t, const TensorInfo*>> tensors;  // (file, tensor), sorted by name; exactly those the index lists
};
// Opens every shard beside the index. InputError for a shard that is missing or lies elsewhere (a path in its name), and for a tensor that
// its shard does not hold.
SafetensorsShards open_safetensors_shards(const std::filesystem::path& index);

// Writes one file, atomically; the bytes equal the reference writer's: larger types first, then by name. `metadata` is written sorted.
// InputError for two tensors of one name and for types safetensors has not.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

// Writes `folder`/model.safetensors, or, when the tensors exceed `max_shard_bytes`, model-00001-of-0000N.safetensors ... and
// model.safetensors.index.json. Tensors fill the shards in the order given; one larger than the limit has a shard for itself.
void write_safetensors_folder(const std::filesystem::path& folder, std::vector<TensorSource> tensors,
                              const std::map<std::string, std::string>& metadata, uint64_t max_shard_bytes);

}  // namespace tessera::tensor
