#include "tessera/tensor/safetensors.h"

#include <gmock/gmock.h>

#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using tensor_test::golden;
using tensor_test::in_memory;
using tensor_test::refusal;
using testing::HasSubstr;

std::string safetensors_text(const std::string& header, size_t data_bytes) {
  return tensor_test::little_endian(header.size(), 8) + header + std::string(data_bytes, 'x');
}
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets, size_t data_bytes) {
  return safetensors_text(R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", data_bytes);
}
std::string why_refused(const std::string& text) {
  return refusal([&] { SafetensorsFile::parse(in_memory(text)); });
}
TensorSource source_of(const std::string& name, Dtype dtype, std::vector<int64_t> shape, const std::string& data) {
  TensorInfo info;
  info.name = name;
  info.dtype = dtype;
  info.shape = std::move(shape);
  return {info, [data] { return std::as_bytes(std::span(data)); }};
}
std::vector<TensorSource> three_sources() {
  return {source_of("b", Dtype::f16, {2}, "abcd"), source_of("a", Dtype::f32, {1, 2}, "01234567"), source_of("c", Dtype::u8, {3}, "xyz")};
}

TEST(Safetensors, ReadsTensorsMetadataAndBytes) {
  const auto file = SafetensorsFile::parse(in_memory(safetensors_text(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"I8","shape":[3],"data_offsets":[4,7]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}  )",
      7)));
  ASSERT_EQ(file.tensors().size(), 2U);
  EXPECT_EQ(file.tensors()[0].name, "a");  // data order, not header order
  EXPECT_EQ(file.tensors()[0].elements(), 1);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(tensor_test::text_of(file.data(*file.find("b"))), "xxx");
  EXPECT_EQ(file.find("missing"), nullptr);
}

TEST(Safetensors, RefusesDataThatOverlapLeaveGapsOrLieOutside) {
  EXPECT_THAT(why_refused(one("F32", "[1]", "[4,8]", 8)), HasSubstr("expected to begin at 0"));
  EXPECT_THAT(why_refused(one("F32", "[1]", "[4,0]", 8)), HasSubstr("overlap or leave a gap"));
  EXPECT_THAT(why_refused(one("F32", "[1]", "[0,4]", 3)), HasSubstr("cut short"));
  EXPECT_THAT(why_refused(one("F32", "[1]", "[0,4]", 5)), HasSubstr("1 bytes after its last tensor"));
  EXPECT_THAT(why_refused(one("F32", "[2]", "[0,4]", 4)), HasSubstr("F32 need 8"));
  EXPECT_THAT(why_refused(one("F32", "[1]", "[0,18446744073709551615]", 4)), HasSubstr("need 4"));
  EXPECT_THAT(why_refused(safetensors_text(
                  R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6)),
              HasSubstr("overlap"));
}

TEST(Safetensors, RefusesImpossibleShapesAndTypes) {
  EXPECT_THAT(why_refused(one("F32", "[4611686018427387904,4]", "[0,0]", 0)), HasSubstr("63 bits"));
  EXPECT_THAT(why_refused(one("F32", "[4611686018427387904,0]", "[0,0]", 0)), HasSubstr("63 bits"));  // its strides would overflow
  EXPECT_THAT(why_refused(one("F32", "[18446744073709551615]", "[0,4]", 4)), HasSubstr("negative size"));
  EXPECT_THAT(why_refused(one("F32", "[18446744073709551616]", "[0,4]", 4)), HasSubstr("64-bit integer"));
  EXPECT_THAT(why_refused(one("F32", "[-1]", "[0,4]", 4)), HasSubstr("negative number"));
  EXPECT_THAT(why_refused(one("F4", "[1]", "[0,4]", 4)), HasSubstr("type F4, which is not supported; convert it"));
  EXPECT_THAT(why_refused(one("Q4_0", "[32]", "[0,18]", 18)), HasSubstr("type Q4_0"));
}

TEST(Safetensors, RefusesBrokenHeaders) {
  EXPECT_THAT(why_refused(""), HasSubstr("it has 0 bytes"));
  EXPECT_THAT(why_refused(tensor_test::little_endian(uint64_t{1} << 40, 8)), HasSubstr("at most 100000000 are allowed"));
  EXPECT_THAT(why_refused(tensor_test::little_endian(100, 8) + "{}"), HasSubstr("promises 108 bytes, the file has 10; copy it again"));
  EXPECT_THAT(why_refused(safetensors_text("[]", 0)), HasSubstr("an array"));
  EXPECT_THAT(why_refused(safetensors_text("{", 0)), HasSubstr("JSON is broken"));
  EXPECT_THAT(why_refused(safetensors_text("{\"\xff\":1}", 0)), HasSubstr("JSON is broken"));
  EXPECT_THAT(why_refused(safetensors_text(std::string(100000, '['), 0)), HasSubstr("an array"));
  EXPECT_THAT(why_refused(safetensors_text(
                  R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1)),
              HasSubstr("holds a twice"));
  EXPECT_THAT(why_refused(safetensors_text(R"({"a":{"dtype":"U8","shape":[0]}})", 0)), HasSubstr("two data_offsets"));
  EXPECT_THAT(why_refused(safetensors_text(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0)),
              HasSubstr("twice"));
  EXPECT_THAT(why_refused(safetensors_text(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}})", 0)),
              HasSubstr("two data_offsets"));
  EXPECT_THAT(why_refused(safetensors_text(R"({"__metadata__":{"a":1}})", 0)), HasSubstr("in __metadata__"));
  EXPECT_THAT(why_refused(safetensors_text(R"({"__metadata__":5})", 0)), HasSubstr("unexpected a number"));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = tessera::read_file(golden("plain.safetensors"));
  ASSERT_EQ(why_refused(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) ASSERT_NE(why_refused(whole.substr(0, length)), "") << length;
}

TEST(Safetensors, WritesTheBytesOfTheReferenceWriter) {
  const tensor_test::ScratchFolder folder;
  const auto reference = SafetensorsFile::open(golden("plain.safetensors"));
  std::vector<TensorSource> sources;
  for (const TensorInfo& tensor : reference.tensors()) sources.push_back({tensor, [&] { return reference.data(tensor); }});
  std::ranges::reverse(sources);
  write_safetensors(folder / "ours.safetensors", std::move(sources));
  EXPECT_EQ(tessera::read_file(folder / "ours.safetensors"), tessera::read_file(golden("plain.safetensors")));
}

TEST(Safetensors, WritesShardsThatReadBack) {
  const tensor_test::ScratchFolder folder;
  write_safetensors_folder(folder.path(), three_sources(), {{"format", "pt"}}, 8);
  ASSERT_TRUE(std::filesystem::exists(folder / "model-00003-of-00003.safetensors"));
  const auto shards = open_safetensors_shards(folder / "model.safetensors.index.json");
  ASSERT_EQ(shards.tensors.size(), 3U);
  std::string all;
  for (const auto& [file, tensor] : shards.tensors)
    all += tensor->name + "=" + tensor_test::text_of(shards.files[file].data(*tensor)) + " ";
  EXPECT_EQ(all, "a=01234567 b=abcd c=xyz ");
}

TEST(Safetensors, RefusesIndexesThatLeaveTheFolderOrMissTensors) {
  const tensor_test::ScratchFolder folder;
  const auto index = [&](const std::string& text) {
    tessera::write_file(folder / "i.json", text);
    return refusal([&] { open_safetensors_shards(folder / "i.json"); });
  };
  write_safetensors(folder / "s.safetensors", three_sources());
  EXPECT_EQ(index(R"({"metadata":{"total_size":1.5,"x":[null,true,{"y":-1}]},"weight_map":{"a":"s.safetensors"}})"), "");
  EXPECT_THAT(index(R"({"weight_map":{"a":"../s.safetensors"}})"), HasSubstr("beside the index"));
  EXPECT_THAT(index(R"({"weight_map":{"a":"/etc/passwd"}})"), HasSubstr("beside the index"));
  EXPECT_THAT(index(R"({"weight_map":{"a":".."}})"), HasSubstr("beside the index"));
  EXPECT_THAT(index(R"({"weight_map":{"z":"s.safetensors"}})"), HasSubstr("does not hold it"));
  EXPECT_THAT(index(R"({"weight_map":{"a":"gone.safetensors"}})"), HasSubstr("does not exist"));
  EXPECT_THAT(index(R"({"weight_map":{"a":"s.safetensors","a":"s.safetensors"}})"), HasSubstr("second tensor"));
  EXPECT_THAT(index(R"({"weight_map":{"a":{}}})"), HasSubstr("an object"));
  EXPECT_THAT(index(R"({"weight_map":[]})"), HasSubstr("an array"));
  EXPECT_THAT(index("{}"), HasSubstr("no weight_map"));
  EXPECT_THAT(index("5"), HasSubstr("a number"));
  EXPECT_THAT(index("{"), HasSubstr("JSON is broken"));
}

TEST(Safetensors, RefusesToWriteWhatCannotBeRead) {
  const tensor_test::ScratchFolder folder;
  const auto write = [&](std::vector<TensorSource> sources) {
    return refusal([&] { write_safetensors(folder / "x.safetensors", std::move(sources)); });
  };
  EXPECT_THAT(write({source_of("a", Dtype::q8_0, {32}, std::string(34, 'x'))}), HasSubstr("cannot hold"));
  EXPECT_THAT(write({source_of("a", Dtype::u8, {1}, "x"), source_of("a", Dtype::u8, {1}, "x")}), HasSubstr("two tensors are named"));
  EXPECT_THAT(write({source_of("\xff", Dtype::u8, {1}, "x")}), HasSubstr("UTF-8"));
  EXPECT_THROW(write_safetensors(folder / "x.safetensors", {source_of("a", Dtype::u8, {2}, "x")}), tessera::WorkError);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
