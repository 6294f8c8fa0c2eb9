// Files for `tests/parity/tensor.py --check FOLDER`, where the reference's readers compare them; here they are read back.
#include <gmock/gmock.h>

#include <cstdlib>

#include "tessera/tensor/gguf.h"
#include "tessera/tensor/quantised_blocks.h"
#include "tessera/tensor/safetensors.h"
#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using tensor_test::golden;

std::vector<TensorSource> sources_of(const SafetensorsFile& file) {
  std::vector<TensorSource> sources;
  for (const TensorInfo& tensor : file.tensors()) sources.push_back({tensor, [&] { return file.data(tensor); }});
  return sources;
}

// In TESSERA_WRITTEN_FILES when it is set, else in a folder that disappears.
TEST(WrittenFiles, OfEveryKindReadBack) {
  const tensor_test::ScratchFolder scratch;
  const char* kept = std::getenv("TESSERA_WRITTEN_FILES");
  const std::filesystem::path folder = kept == nullptr ? scratch.path() : std::filesystem::path(kept);
  std::filesystem::create_directories(folder / "sharded");
  const auto plain = SafetensorsFile::open(golden("plain.safetensors"));
  write_safetensors(folder / "plain.safetensors", sources_of(plain));
  write_safetensors_folder(folder / "sharded", sources_of(plain), {{"format", "pt"}}, 200);
  EXPECT_EQ(SafetensorsFile::open(folder / "plain.safetensors").tensors().size(), plain.tensors().size());
  EXPECT_EQ(open_safetensors_shards(folder / "sharded/model.safetensors.index.json").tensors.size(), plain.tensors().size());

  const auto rows = SafetensorsFile::open(golden("quantised.safetensors"));
  std::vector<float> numbers(48 * 64);
  std::memcpy(numbers.data(), rows.data(*rows.find("rows")).data(), numbers.size() * sizeof(float));
  GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("k.strings", std::vector<std::string>{"a", "", "ccc"});
  std::vector<std::byte> encoded;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::q8_0, Dtype::q4_0, Dtype::q4_1}) {
    TensorInfo info;
    info.name = name(dtype);
    info.dtype = dtype;
    info.shape = {48, 64};
    writer.add({info, [&, dtype] {
                  encoded.resize(bytes_of("rows", dtype, std::vector<int64_t>{48, 64}));
                  encode_from_float(dtype, numbers.data(), encoded.data(), 48 * 64);
                  return std::span<const std::byte>(encoded);
                }});
  }
  writer.write(folder / "written.gguf");
  EXPECT_EQ(GgufFile::open(folder / "written.gguf").tensors().size(), 5U);
}

}  // namespace
