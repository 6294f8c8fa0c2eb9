#include "tessera/tensor/safetensors.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/tensor/safetensors_header.h"

namespace tessera::tensor {
namespace {

constexpr uint64_t max_header_bytes = 100'000'000;  // the reference's limit

std::string_view header_text(const Bytes& bytes) {
  if (bytes.size() < 8) {
    throw InputError("{} is no safetensors file: it has {} bytes, the header's length alone takes 8; copy it again", bytes.name,
                     bytes.size());
  }
  const auto length = read_number<uint64_t>(bytes.view.data());
  if (length > max_header_bytes) {
    throw InputError("{} is no safetensors file: its header would have {} bytes, at most {} are allowed; check what kind of file it is",
                     bytes.name, length, max_header_bytes);
  }
  if (length > bytes.size() - 8) {
    throw InputError("{} is cut short: its header promises {} bytes, the file has {}; copy it again", bytes.name, length + 8, bytes.size());
  }
  return {reinterpret_cast<const char*>(bytes.view.data()) + 8, length};
}

// The data must follow each other without gap or overlap and end with the file. Sorts by offset.
void check_coverage(std::vector<HeaderTensor>& tensors, const Bytes& bytes, uint64_t data_bytes) {
  std::ranges::stable_sort(tensors, {}, [](const HeaderTensor& t) { return std::pair(t.begin, t.end); });
  uint64_t position = 0;
  for (const HeaderTensor& t : tensors) {
    if (t.begin != position || t.end < t.begin) {
      throw InputError(
          "{}: tensor {} lies at bytes {} to {} of the data, expected to begin at {}: data overlap or leave a gap; copy it again",
          bytes.name, tessera::quoted(t.info.name), t.begin, t.end, position);
    }
    if (t.end - t.begin != t.info.bytes) {
      throw InputError("{}: tensor {} has {} bytes of data, its shape and type {} need {}; copy it again", bytes.name,
                       tessera::quoted(t.info.name), t.end - t.begin, name(t.info.dtype), t.info.bytes);
    }
    position = t.end;
  }
  if (position > data_bytes) {
    throw InputError("{} is cut short: its header promises {} bytes, the file has {}; copy it again", bytes.name,
                     position + (bytes.size() - data_bytes), bytes.size());
  }
  if (position < data_bytes) {
    throw InputError("{} has {} bytes after its last tensor; copy it again", bytes.name, data_bytes - position);
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) { return parse(map_file(path)); }

SafetensorsFile SafetensorsFile::parse(Bytes bytes) {
  const std::string_view text = header_text(bytes);
  SafetensorsFile file;
  std::vector<HeaderTensor> tensors = parse_safetensors_header(text, bytes.name, file.metadata_);
  check_coverage(tensors, bytes, bytes.size() - 8 - text.size());
  file.bytes_ = std::move(bytes);
  file.tensors_.reserve(tensors.size());
  for (HeaderTensor& t : tensors) {
    file.index_.emplace(t.info.name, file.tensors_.size());
    file.begins_.push_back(8 + text.size() + t.begin);
    file.tensors_.push_back(std::move(t.info));
  }
  return file;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> SafetensorsFile::data(const TensorInfo& tensor) const {
  const size_t i = index_.at(tensor.name);
  return bytes_.view.subspan(begins_[i], tensors_[i].bytes);
}

SafetensorsShards open_safetensors_shards(const std::filesystem::path& index) {
  const Bytes bytes = map_file(index);
  if (bytes.size() > max_header_bytes) {
    throw InputError("{} has {} bytes, an index has at most {}; check the path", bytes.name, bytes.size(), max_header_bytes);
  }
  const std::map<std::string, std::string> weight_map =
      parse_shard_index({reinterpret_cast<const char*>(bytes.view.data()), bytes.size()}, bytes.name);
  SafetensorsShards shards;
  std::map<std::string, size_t> opened;
  for (const auto& [tensor, shard] : weight_map) {
    if (shard.empty() || shard == "." || shard == ".." || shard.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      throw InputError("{}: the shard of tensor {} is {}; a shard must be a file beside the index", bytes.name, tessera::quoted(tensor),
                       tessera::quoted(shard));
    }
    if (!opened.contains(shard)) {
      opened.emplace(shard, shards.files.size());
      shards.files.push_back(SafetensorsFile::open(index.parent_path() / shard));
    }
  }
  for (const auto& [tensor, shard] : weight_map) {
    const size_t file = opened.at(shard);
    const TensorInfo* info = shards.files[file].find(tensor);
    if (info == nullptr) {
      throw InputError("{}: tensor {} should be in {}, which does not hold it; copy both files again", bytes.name, tessera::quoted(tensor),
                       tessera::quoted(shard));
    }
    shards.tensors.emplace_back(file, info);
  }
  return shards;
}

}  // namespace tessera::tensor
