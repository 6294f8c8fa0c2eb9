// Every saved input of the fuzz targets, the once harmful ones among them, through the parsers as the targets call them.
#include <gmock/gmock.h>

#include "tessera/tensor/gguf.h"
#include "tessera/tensor/pickle.h"
#include "tessera/tensor/quantised_blocks.h"
#include "tessera/tensor/safetensors.h"
#include "tessera/tensor/torch_file.h"
#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;

// Runs `read` on each file of the corpus; returns how many there are. Anything but success or an InputError escapes and fails the test.
int run_corpus(const std::string& target, const std::function<void(const Bytes&)>& read) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/fuzz/corpus" / target)) {
    SCOPED_TRACE(entry.path().string());
    const Bytes bytes = tensor_test::in_memory(tessera::read_file(entry.path()));
    tensor_test::refusal([&] { read(bytes); });
    ++files;
  }
  return files;
}

TEST(FuzzCorpus, Safetensors) {
  EXPECT_GE(run_corpus("safetensors", [](const Bytes& bytes) { SafetensorsFile::parse(bytes); }), 6);
}

TEST(FuzzCorpus, Gguf) {
  EXPECT_GE(run_corpus("gguf",
                       [](const Bytes& bytes) {
                         const auto file = GgufFile::parse(bytes);
                         for (const std::string& key : file.keys()) file.shown(key);
                         for (const TensorInfo& tensor : file.tensors()) {
                           std::vector<float> decoded(static_cast<size_t>(tensor.elements()));
                           decode_to_float(tensor.dtype, file.data(tensor).data(), decoded.data(), tensor.elements());
                         }
                       }),
            4);
}

TEST(FuzzCorpus, Pickle) {
  EXPECT_GE(run_corpus("pickle",
                       [](const Bytes& bytes) {
                         tensor_test::refusal([&] { parse_pickle(bytes.view, "corpus"); });
                         const auto file = TorchFile::parse(bytes);
                         for (const TorchTensor& tensor : file.tensors()) {
                           std::vector<std::byte> read(tensor.info.bytes);
                           file.read(tensor, read.data());
                         }
                       }),
            10);
}

}  // namespace
