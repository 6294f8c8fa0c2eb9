#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/tensor/safetensors.h"
#include "tessera/tensor/safetensors_header.h"

namespace tessera::tensor {
namespace {

void check_writable(const std::vector<TensorSource>& tensors) {
  std::set<std::string_view> names;
  for (const TensorSource& t : tensors) {
    if (!traits(t.info.dtype).safetensors) {
      throw InputError("tensor {} is {}, which safetensors files cannot hold; load it as F32, F16 or BF16 first",
                       tessera::quoted(t.info.name), name(t.info.dtype));
    }
    if (!names.insert(t.info.name).second || t.info.name == "__metadata__") {
      throw InputError("two tensors are named {}, or the name is reserved; rename one", tessera::quoted(t.info.name));
    }
  }
}

// The shard of every tensor, in order: filled greedily up to `max_bytes`.
std::vector<std::vector<TensorSource>> split_into_shards(std::vector<TensorSource> tensors, uint64_t max_bytes) {
  std::vector<std::vector<TensorSource>> shards(1);
  uint64_t filled = 0;
  for (TensorSource& t : tensors) {
    if (!shards.back().empty() && filled + t.info.bytes > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += t.info.bytes;
    shards.back().push_back(std::move(t));
  }
  return shards;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  check_writable(tensors);
  std::ranges::sort(tensors, [](const TensorSource& a, const TensorSource& b) {
    return a.info.dtype != b.info.dtype ? a.info.dtype > b.info.dtype : a.info.name < b.info.name;
  });
  std::vector<TensorInfo> infos;
  for (TensorSource& t : tensors) {
    t.info.bytes = bytes_of(t.info.name, t.info.dtype, t.info.shape);
    infos.push_back(t.info);
  }
  const std::string header = safetensors_header(infos, metadata);
  const auto length = static_cast<uint64_t>(header.size());
  AtomicFile file(path);
  file.write(&length, sizeof(length));
  file.write(header);
  for (const TensorSource& t : tensors) {
    const std::span<const std::byte> bytes = t.bytes();
    if (bytes.size() != t.info.bytes) {
      throw WorkError("tensor {} gave {} bytes to write, its shape needs {}", tessera::quoted(t.info.name), bytes.size(), t.info.bytes);
    }
    file.write(bytes.data(), bytes.size());
  }
  file.commit();
}

void write_safetensors_folder(const std::filesystem::path& folder, std::vector<TensorSource> tensors,
                              const std::map<std::string, std::string>& metadata, uint64_t max_shard_bytes) {
  check_writable(tensors);
  uint64_t total = 0;
  for (TensorSource& t : tensors) {
    t.info.bytes = bytes_of(t.info.name, t.info.dtype, t.info.shape);
    total += t.info.bytes;
  }
  auto shards = split_into_shards(std::move(tensors), max_shard_bytes);
  if (shards.size() == 1) return write_safetensors(folder / "model.safetensors", std::move(shards[0]), metadata);
  nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", nlohmann::json::object()}};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const TensorSource& t : shards[i]) index["weight_map"][t.info.name] = file;
    write_safetensors(folder / file, std::move(shards[i]), metadata);
  }
  write_file(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace tessera::tensor
