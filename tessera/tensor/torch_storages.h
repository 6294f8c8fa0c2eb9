#pragma once
// Where the bytes of a .pt file's storages lie: entries of a zip archive, or runs after the pickles of the older layout.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/tensor/bytes.h"

namespace tessera::tensor {

class TorchStorages {
 public:
  virtual ~TorchStorages() = default;
  // The pickle that describes the object, and its storages' keys; valid while this lives.
  virtual std::span<const std::byte> pickle() const = 0;
  // Number of the storage `key`, checked to hold `bytes` bytes; InputError otherwise.
  virtual size_t find(std::string_view key, uint64_t bytes) const = 0;
  // Copies bytes [begin, begin + to.size()) of a storage. Safe from several threads.
  virtual void read(size_t storage, uint64_t begin, std::span<std::byte> to) const = 0;
};

// The zip archive that torch.save writes since PyTorch 1.6; entries must be stored, not compressed.
std::shared_ptr<const TorchStorages> open_torch_zip(Bytes bytes);
bool is_zip(const Bytes& bytes);

// One run of a storage inside the older layout.
struct StorageRun {
  std::string key;
  uint64_t begin = 0, bytes = 0;
};
std::shared_ptr<const TorchStorages> torch_stream_storages(Bytes bytes, std::span<const std::byte> pickle, std::vector<StorageRun> runs);

}  // namespace tessera::tensor
