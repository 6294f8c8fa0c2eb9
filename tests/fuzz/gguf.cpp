// Any bytes as a .gguf file: a parsed file or an InputError; every metadata value and every block can be decoded.
#include <cstdint>

#include "tessera/base/error.h"
#include "tessera/tensor/gguf.h"
#include "tessera/tensor/quantised_blocks.h"

namespace {

template <class Read>
void try_to(Read read) {
  try {
    read();
  } catch (const tessera::InputError&) {  // the value is of another kind
  }
}

void decode_metadata(const tessera::tensor::GgufFile& file) {
  for (const std::string& key : file.keys()) {
    file.shown(key);
    try_to([&] { file.boolean(key); });
    try_to([&] { file.u64(key); });
    try_to([&] { file.i64(key); });
    try_to([&] { file.f64(key); });
    try_to([&] { file.string(key); });
    try_to([&] { file.strings(key); });
    try_to([&] { file.i64s(key); });
    try_to([&] { file.f64s(key); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::tensor;
  try {
    const auto file = GgufFile::parse({std::as_bytes(std::span(data, size)), nullptr, "fuzz"});
    decode_metadata(file);
    for (const TensorInfo& tensor : file.tensors()) {
      std::vector<float> decoded(static_cast<size_t>(tensor.elements()));
      try_to([&] { decode_to_float(tensor.dtype, file.data(tensor).data(), decoded.data(), tensor.elements()); });
    }
  } catch (const tessera::InputError&) {
  }
  return 0;
}
