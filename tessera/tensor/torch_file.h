#pragma once
// PyTorch's .pt, .pth, .ckpt and .bin files, read without executing anything: the pickle inside is taken as data, and only the tensors and
// containers that torch.save writes are understood. Both layouts: the zip archive and the older stream of pickles.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/tensor/bytes.h"
#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

class TorchStorages;

// A tensor as a view of a storage, which several tensors may share.
struct TorchTensor {
  TensorInfo info;               // name: the keys that lead to it, joined by dots
  std::string group;             // the keys without the last one, joined by dots; "" at the top
  std::vector<int64_t> strides;  // elements
  uint64_t offset = 0;           // of its first element in the storage, elements
  size_t storage = 0;            // number of the storage: equal for tensors that share one

  bool contiguous() const;
};

// A checked file: every tensor lies inside its storage. InputError for objects other than tensors and plain containers, by their name.
class TorchFile {
 public:
  static TorchFile open(const std::filesystem::path& path);
  static TorchFile parse(Bytes bytes);

  const std::vector<TorchTensor>& tensors() const { return tensors_; }  // in the order the file lists them
  const TorchTensor* find(std::string_view name) const;                 // null when there is none
  // Copies a tensor's elements in row-major order to `to`, info.bytes bytes. Safe from several threads.
  void read(const TorchTensor& tensor, std::byte* to) const;

 private:
  std::vector<TorchTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::shared_ptr<const TorchStorages> storages_;
};

}  // namespace tessera::tensor
