#pragma once
// The bytes of a model file and what keeps them alive.

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

// Untrusted bytes with a name for messages. Copies share them.
struct Bytes {
  std::span<const std::byte> view;
  std::shared_ptr<const void> owner;  // null when the caller keeps the memory alive
  std::string name;                   // the file's path
  bool mapped = false;                // the view is the map of a file

  uint64_t size() const { return view.size(); }
  // Lets the system have the memory of the pages that lie wholly in `part` of a map: a later read brings the file's bytes in again, what
  // was written there is lost. Does nothing to bytes that are no map.
  void give_back(std::span<const std::byte> part) const;
};

// Maps a file copy-on-write: a tensor over the map may be changed in memory, the file never is. InputError when it is missing, no regular
// file or unreadable. As any map it turns a later truncation of the file into SIGBUS.
Bytes map_file(const std::filesystem::path& path);

// A little-endian number at any address, aligned or not.
template <class T>
T read_number(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// One tensor to write. `bytes` is called once, when its turn comes, and gives info.bytes bytes that live until the next tensor's call: at
// most one tensor is in memory twice.
struct TensorSource {
  TensorInfo info;
  std::function<std::span<const std::byte>()> bytes;
};

}  // namespace tessera::tensor
