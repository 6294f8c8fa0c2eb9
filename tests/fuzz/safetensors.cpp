// Any bytes as a .safetensors file: a parsed file or an InputError, and every tensor's bytes can be read.
#include <cstdint>

#include "tessera/base/error.h"
#include "tessera/tensor/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::tensor;
  try {
    const auto file = SafetensorsFile::parse({std::as_bytes(std::span(data, size)), nullptr, "fuzz"});
    unsigned sum = 0;
    for (const TensorInfo& tensor : file.tensors()) {
      for (const std::byte b : file.data(*file.find(tensor.name))) sum += static_cast<unsigned>(b);
    }
    return sum == 0xffffffff ? 1 : 0;
  } catch (const tessera::InputError&) {
    return 0;
  }
}
