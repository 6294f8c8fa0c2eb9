// Any bytes as a .pt file of either layout: its tensors or an InputError. The same bytes as a bare pickle, which reaches deeper.
#include <cstdint>

#include "tessera/base/error.h"
#include "tessera/tensor/pickle.h"
#include "tessera/tensor/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::tensor;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = TorchFile::parse({bytes, nullptr, "fuzz"});
    for (const TorchTensor& tensor : file.tensors()) {
      if (tensor.info.bytes > (1U << 20)) continue;
      std::vector<std::byte> read(tensor.info.bytes);
      file.read(tensor, read.data());
    }
  } catch (const tessera::InputError&) {
  }
  try {
    parse_pickle(bytes, "fuzz");
  } catch (const tessera::InputError&) {
  }
  return 0;
}
