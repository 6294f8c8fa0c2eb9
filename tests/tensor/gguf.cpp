#include "tessera/tensor/gguf.h"

#include <gmock/gmock.h>

#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using tensor_test::golden;
using tensor_test::in_memory;
using tensor_test::little_endian;
using tensor_test::refusal;
using testing::ElementsAre;
using testing::HasSubstr;

std::string gguf_text(const std::string& text) { return little_endian(text.size(), 8) + text; }
std::string gguf_head(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
  return "GGUF" + little_endian(version, 4) + little_endian(tensors, 8) + little_endian(entries, 8);
}
std::string gguf_tensor(const std::string& name, std::vector<uint64_t> shape, uint32_t type, uint64_t offset) {
  std::string text = gguf_text(name) + little_endian(shape.size(), 4);
  for (const uint64_t size : shape) text += little_endian(size, 8);
  return text + little_endian(type, 4) + little_endian(offset, 8);
}
std::string padded(std::string text, size_t data) {
  text.resize((text.size() + 31) / 32 * 32, '\0');
  return text + std::string(data, 'd');
}
std::string gguf_refusal(const std::string& text) {
  return refusal([&] { GgufFile::parse(in_memory(text)); });
}
std::string entry(const std::string& key, uint32_t type, const std::string& value) {
  return gguf_text(key) + little_endian(type, 4) + value;
}

TEST(Gguf, ReadsEveryKindOfMetadata) {
  const auto file = GgufFile::open(golden("types.gguf"));
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.u64("k.u8"), 200U);
  EXPECT_EQ(file.i64("k.i8"), -100);
  EXPECT_EQ(file.u64("k.u16"), 60000U);
  EXPECT_EQ(file.i64("k.i16"), -30000);
  EXPECT_EQ(file.u64("k.u32"), 4000000000U);
  EXPECT_EQ(file.i64("k.i32"), -2000000000);
  EXPECT_EQ(file.u64("k.u64"), uint64_t{1} << 63);
  EXPECT_EQ(file.i64("k.i64"), -(int64_t{1} << 62));
  EXPECT_EQ(file.f64("k.f32"), double{0.1F});
  EXPECT_EQ(file.f64("k.f64"), 0.1);
  EXPECT_EQ(file.f64("k.i8"), -100.0);
  EXPECT_TRUE(file.boolean("k.bool"));
  EXPECT_EQ(file.string("k.string"), "grüße");
  EXPECT_THAT(file.strings("k.strings"), ElementsAre("a", "", "ccc"));
  EXPECT_THAT(file.i64s("k.i32s"), ElementsAre(1, -2, 3));
  EXPECT_THAT(file.f64s("k.f32s"), ElementsAre(0.5, 0.25));
  EXPECT_EQ(file.shown("k.f64"), "0.1");
  EXPECT_TRUE(file.has("k.u8"));
  EXPECT_FALSE(file.has("k.none"));
}

TEST(Gguf, GettersNameKeyAndKind) {
  const auto file = GgufFile::open(golden("types.gguf"));
  EXPECT_THAT(refusal([&] { file.u64("k.none"); }), HasSubstr("has no metadata k.none"));
  EXPECT_THAT(refusal([&] { file.u64("k.string"); }), HasSubstr("is string, an integer >= 0 is expected"));
  EXPECT_THAT(refusal([&] { file.u64("k.i8"); }), HasSubstr("out of range"));
  EXPECT_THAT(refusal([&] { file.i64("k.u64"); }), HasSubstr("out of range"));
  EXPECT_THAT(refusal([&] { file.string("k.strings"); }), HasSubstr("an array of string"));
  EXPECT_THAT(refusal([&] { file.strings("k.i32s"); }), HasSubstr("an array of i32"));
  EXPECT_THAT(refusal([&] { file.i64s("k.f32s"); }), HasSubstr("an array of f32"));
  EXPECT_THAT(refusal([&] { file.boolean("k.u8"); }), HasSubstr("is u8"));
}

TEST(Gguf, RefusesBrokenFiles) {
  EXPECT_THAT(gguf_refusal("GGML"), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, 0, 1)), HasSubstr("version 1, versions 2 and 3"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, 0, 0x03000000)), HasSubstr("big-endian"));
  EXPECT_THAT(gguf_refusal(gguf_head(uint64_t{1} << 60, 0)), HasSubstr("cannot hold the 1152921504606846976 tensors"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, uint64_t{1} << 60)), HasSubstr("cannot hold"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, 1) + little_endian(~uint64_t{0}, 8) + "abcdefghijkl"), HasSubstr("18446744073709551615 bytes"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, 1) + entry("k", 13, "abcdefgh")), HasSubstr("unknown type 13"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, 1) + entry("k", 9, little_endian(10, 4) + little_endian(uint64_t{1} << 61, 8))),
              HasSubstr("an array"));
  EXPECT_THAT(gguf_refusal(gguf_head(0, 2) + entry("k", 0, "a") + entry("k", 0, "a")), HasSubstr("metadata k twice"));
  std::string nested;
  for (int i = 0; i < 6; ++i) nested += little_endian(9, 4) + little_endian(1, 8);
  EXPECT_THAT(gguf_refusal(gguf_head(0, 1) + entry("k", 9, nested)), HasSubstr("nests arrays"));
}

TEST(Gguf, RefusesImpossibleTensors) {
  const auto with = [](const std::string& tensor, size_t data) { return gguf_refusal(padded(gguf_head(1, 0) + tensor, data)); };
  EXPECT_EQ(with(gguf_tensor("t", {8}, 0, 0), 32), "");
  EXPECT_THAT(with(gguf_tensor("t", {8}, 0, 32), 32), HasSubstr("needs 32 bytes from byte 32"));
  EXPECT_THAT(with(gguf_tensor("t", {8}, 0, ~uint64_t{31}), 32), HasSubstr("cut short"));
  EXPECT_THAT(with(gguf_tensor("t", {8}, 0, 4), 64), HasSubstr("no multiple of 32"));
  EXPECT_THAT(with(gguf_tensor("t", {uint64_t{1} << 62, 8}, 0, 0), 32), HasSubstr("63 bits"));
  EXPECT_THAT(with(gguf_tensor("t", {~uint64_t{0}}, 0, 0), 32), HasSubstr("negative size"));
  EXPECT_THAT(with(gguf_tensor("t", {31}, 2, 0), 32), HasSubstr("Q4_0 needs a multiple of 32"));
  EXPECT_THAT(with(gguf_tensor("t", {1, 1, 1, 1, 1}, 0, 0), 32), HasSubstr("5 dimensions"));
  EXPECT_THAT(gguf_refusal(padded(gguf_head(2, 0) + gguf_tensor("t", {8}, 0, 0) + gguf_tensor("u", {8}, 0, 0), 64)), HasSubstr("overlaps"));
  EXPECT_THAT(gguf_refusal(padded(gguf_head(2, 0) + gguf_tensor("t", {8}, 0, 0) + gguf_tensor("t", {8}, 0, 32), 64)), HasSubstr("twice"));
}

TEST(Gguf, RefusesUnreadTypesByName) {
  for (const auto& [number, name] : {std::pair{15, "Q8_K"}, {16, "IQ2_XXS"}, {23, "IQ4_XS"}, {34, "TQ1_0"}, {39, "MXFP4"}}) {
    EXPECT_THAT(gguf_refusal(padded(gguf_head(1, 0) + gguf_tensor("t", {256}, static_cast<uint32_t>(number), 0), 512)),
                HasSubstr(std::string("type ") + name + ", which is not supported"));
  }
  EXPECT_THAT(gguf_refusal(padded(gguf_head(1, 0) + gguf_tensor("t", {256}, 99, 0), 512)), HasSubstr("number 99"));
}

TEST(Gguf, AlignmentMustBeAPowerOfTwo) {
  const auto with = [](uint32_t alignment) {
    return gguf_refusal(
        padded(gguf_head(1, 1) + entry("general.alignment", 4, little_endian(alignment, 4)) + gguf_tensor("t", {8}, 0, 0), 128));
  };
  EXPECT_EQ(with(8), "");
  EXPECT_THAT(with(0), HasSubstr("power of two"));
  EXPECT_THAT(with(12), HasSubstr("power of two"));
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string whole = tessera::read_file(golden("types.gguf"));
  const auto file = GgufFile::parse(in_memory(whole));
  const TensorInfo& last = file.tensors().back();
  const auto end = static_cast<size_t>(file.data(last).data() + last.bytes - file.bytes().view.data());  // padding may be missing
  for (size_t length = 0; length < end; ++length) ASSERT_NE(gguf_refusal(whole.substr(0, length)), "") << length;
}

TEST(Gguf, WritesWhatItReads) {
  const tensor_test::ScratchFolder folder;
  const auto original = GgufFile::open(golden("types.gguf"));
  GgufWriter writer;
  for (const std::string& key : original.keys()) writer.copy(key, original.value(key));
  for (const TensorInfo& tensor : original.tensors()) {
    if (tensor.name == "F32" || tensor.name == "Q4_1") writer.add({tensor, [&] { return original.data(tensor); }});
  }
  writer.set("k.string", "new");
  writer.set("k.more", std::vector<std::string>{"x", "yy"});
  writer.set_u32("k.u8", 7);
  writer.set("k.flag", false);
  writer.write(folder / "w.gguf");
  const auto read = GgufFile::open(folder / "w.gguf");
  EXPECT_EQ(read.version(), 3U);
  EXPECT_EQ(read.string("k.string"), "new");
  EXPECT_THAT(read.strings("k.more"), ElementsAre("x", "yy"));
  EXPECT_EQ(read.u64("k.u8"), 7U);
  EXPECT_FALSE(read.boolean("k.flag"));
  EXPECT_EQ(read.i64("k.i64"), original.i64("k.i64"));
  EXPECT_THAT(read.strings("k.strings"), ElementsAre("a", "", "ccc"));
  ASSERT_EQ(read.tensors().size(), 2U);
  EXPECT_EQ(read.find("F32")->shape, original.find("F32")->shape);
  EXPECT_EQ(tensor_test::text_of(read.data(*read.find("Q4_1"))), tensor_test::text_of(original.data(*original.find("Q4_1"))));
}

TEST(Gguf, RefusesToWriteWhatLlamaCppWouldRefuse) {
  const auto add = [](const std::string& name, Dtype dtype, std::vector<int64_t> shape) {
    TensorInfo info;
    info.name = name;
    info.dtype = dtype;
    info.shape = std::move(shape);
    GgufWriter writer;
    return refusal([&] { writer.add({info, nullptr}); });
  };
  EXPECT_THAT(add("t", Dtype::q6_k, {256}), HasSubstr("not written in Q6_K"));
  EXPECT_THAT(add(std::string(64, 'n'), Dtype::f32, {1}), HasSubstr("a name of 64 bytes"));
  EXPECT_THAT(add("t", Dtype::f32, {1, 1, 1, 1, 1}), HasSubstr("5 dimensions"));
  EXPECT_THAT(add("t", Dtype::q8_0, {33}), HasSubstr("multiple of 32"));
}

}  // namespace
