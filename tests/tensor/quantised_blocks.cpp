#include "tessera/tensor/quantised_blocks.h"

#include <gmock/gmock.h>

#include <limits>

#include "tessera/tensor/gguf.h"
#include "tessera/tensor/safetensors.h"
#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using tensor_test::golden;
using tensor_test::refusal;
using tensor_test::text_of;
using testing::HasSubstr;

std::vector<float> floats_of(const SafetensorsFile& file, std::string_view name) {
  const auto data = file.data(*file.find(name));
  std::vector<float> numbers(data.size() / sizeof(float));
  std::memcpy(numbers.data(), data.data(), data.size());
  return numbers;
}

std::string encoded_text(Dtype dtype, const std::vector<float>& from) {
  const DtypeTraits& type = traits(dtype);
  std::vector<std::byte> to(from.size() / static_cast<size_t>(type.block) * static_cast<size_t>(type.block_bytes));
  encode_from_float(dtype, from.data(), to.data(), static_cast<int64_t>(from.size()));
  return text_of(to);
}

TEST(QuantisedBlocks, DecodesEveryTypeBitForBitAsTheReference) {
  const auto file = GgufFile::open(golden("types.gguf"));
  const auto expected = SafetensorsFile::open(golden("types_expected.safetensors"));
  EXPECT_EQ(file.tensors().size(), 14U);
  for (const TensorInfo& tensor : file.tensors()) {
    std::vector<float> decoded(static_cast<size_t>(tensor.elements()));
    decode_to_float(tensor.dtype, file.data(tensor).data(), decoded.data(), tensor.elements());
    const std::vector<float> truth = floats_of(expected, tensor.name);
    ASSERT_EQ(decoded.size(), truth.size()) << tensor.name;
    for (size_t i = 0; i < truth.size(); ++i) ASSERT_EQ(decoded[i], truth[i]) << tensor.name << " element " << i;
    // -0.0 and 0.0 are equal as numbers; only blocks with a zero scale may differ in that sign
    EXPECT_EQ(expected.find(tensor.name)->shape, tensor.shape) << tensor.name;
  }
}

TEST(QuantisedBlocks, DecodesRangesOfBlocksAlike) {
  const auto file = GgufFile::open(golden("types.gguf"));
  for (const TensorInfo& tensor : file.tensors()) {
    const DtypeTraits& type = traits(tensor.dtype);
    std::vector<float> whole(static_cast<size_t>(tensor.elements())), parts(whole.size());
    decode_to_float(tensor.dtype, file.data(tensor).data(), whole.data(), tensor.elements());
    for (int64_t i = 0; i < tensor.elements() / type.block; ++i) {
      decode_to_float(tensor.dtype, file.data(tensor).data() + i * type.block_bytes, parts.data() + i * type.block, type.block);
    }
    EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0) << tensor.name;
  }
}

TEST(QuantisedBlocks, EncodesBitForBitAsTheReference) {
  const auto golden_rows = SafetensorsFile::open(golden("quantised.safetensors"));
  const std::vector<float> rows = floats_of(golden_rows, "rows");
  for (const auto& [name, dtype] : {std::pair{"Q8_0", Dtype::q8_0}, {"Q4_0", Dtype::q4_0}, {"Q4_1", Dtype::q4_1}, {"BF16", Dtype::bf16}}) {
    const std::string ours = encoded_text(dtype, rows), theirs = text_of(golden_rows.data(*golden_rows.find(name)));
    ASSERT_EQ(ours.size(), theirs.size()) << name;
    const size_t row = ours.size() / 48;
    for (size_t i = 0; i < ours.size(); ++i) ASSERT_EQ(ours[i], theirs[i]) << name << " row " << i / row << " byte " << i % row;
  }
  EXPECT_EQ(encoded_text(Dtype::f16, floats_of(golden_rows, "half_in")), text_of(golden_rows.data(*golden_rows.find("half_out"))));
}

TEST(QuantisedBlocks, RefusesWhatHasNoCode) {
  std::vector<float> row(32, 1.0F);
  row[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal([&] { encoded_text(Dtype::q8_0, row); }), HasSubstr("NaN or infinity"));
  row[5] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refusal([&] { encoded_text(Dtype::q4_1, row); }), HasSubstr("NaN or infinity"));
  EXPECT_THAT(refusal([&] { encoded_text(Dtype::i8, row); }), HasSubstr("I8 is not written"));
  const std::byte one{1};
  EXPECT_THAT(refusal([&] { decode_to_float(Dtype::u8, &one, row.data(), 1); }), HasSubstr("no real numbers"));
  row.assign(32, std::numeric_limits<float>::max());
  row[0] = std::numeric_limits<float>::lowest();
  EXPECT_EQ(encoded_text(Dtype::q4_1, row).size(), 20U);  // a range beyond float's: any code, no undefined cast
}

}  // namespace
