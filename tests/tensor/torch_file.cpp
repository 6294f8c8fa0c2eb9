#include "tessera/tensor/torch_file.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tessera/tensor/pickle.h"
#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using namespace std::string_literals;
using tensor_test::golden;
using tensor_test::in_memory;
using tensor_test::refusal;
using testing::HasSubstr;

std::string torch_refusal(const std::string& text) {
  return refusal([&] { TorchFile::parse(in_memory(text)); });
}
std::string pickle_refusal(const std::string& text) {
  const Bytes bytes = in_memory(text);
  return refusal([&] { parse_pickle(bytes.view, "test"); });
}
std::string hex_of(const TorchFile& file, const TorchTensor& tensor) {
  std::vector<std::byte> bytes(tensor.info.bytes);
  file.read(tensor, bytes.data());
  std::string hex;
  for (const std::byte b : bytes) hex += fmt::format("{:02x}", static_cast<unsigned>(b));
  return hex;
}

// A file of torch.save in the older layout: `object` is the pickle, one storage "0" of two floats.
std::string legacy_file(const std::string& object, bool with_storage = true) {
  const std::string head = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."s + object + "\x80\x02]";
  return with_storage ? head + "U\x01" + "0a." + tensor_test::little_endian(2, 8) + "abcdefgh" : head + ".";
}
// {"t": tensor over storage "0" of `stored` floats, at `offset`, with one size and one stride}
std::string tensor_pickle(char stored, char offset, const std::string& size, char stride) {
  return "\x80\x02}U\x01tctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x01"s + "0U\x03"s + "cpuK" + stored +
         "NtQK" + offset + size + "\x85K" + stride + "\x85\x89}tRs.";
}

TEST(TorchFile, ReadsEveryTensorOfAllLayouts) {
  const auto expected = nlohmann::json::parse(tessera::read_file(golden("checkpoint.json")));
  for (const char* name : {"checkpoint.pt", "checkpoint_protocol4.pt", "checkpoint_legacy.pt"}) {
    SCOPED_TRACE(name);
    const auto file = TorchFile::open(golden(name));
    for (const TorchTensor& tensor : file.tensors()) {
      SCOPED_TRACE(tensor.info.name);
      const auto& truth = expected.at(tensor.info.name);
      EXPECT_EQ(nlohmann::json(tensor.info.shape), truth.at("shape"));
      EXPECT_EQ(hex_of(file, tensor), truth.at("hex"));
    }
    const bool legacy = std::string(name).find("legacy") != std::string::npos;
    EXPECT_EQ(file.tensors().size(), expected.size() - (legacy ? 5 : 0));  // it cannot hold the newest types
  }
}

TEST(TorchFile, KnowsGroupsViewsAndSharedStorages) {
  const auto file = TorchFile::open(golden("checkpoint.pt"));
  const TorchTensor* base = file.find("state_dict.f32");
  const TorchTensor* tied = file.find("state_dict.tied");
  const TorchTensor* transposed = file.find("state_dict.transposed");
  ASSERT_TRUE(base != nullptr && tied != nullptr && transposed != nullptr);
  EXPECT_EQ(base->group, "state_dict");
  EXPECT_EQ(file.find("optimizer.state.0.exp_avg")->group, "optimizer.state.0");
  EXPECT_EQ(base->storage, tied->storage);
  EXPECT_EQ(base->storage, transposed->storage);
  EXPECT_NE(base->storage, file.find("state_dict.f16")->storage);
  EXPECT_TRUE(base->contiguous());
  EXPECT_FALSE(transposed->contiguous());
  EXPECT_EQ(file.find("nothing"), nullptr);
}

TEST(TorchFile, RefusesPickledObjectsByName) {
  EXPECT_THAT(
      refusal([] { TorchFile::open(golden("whole_module.pt")); }),
      HasSubstr("a Python object torch.nn.modules.linear.Linear, which is not read because it could run code; save only its state_dict()"));
  EXPECT_THAT(pickle_refusal("\x80\x02"s + "cos\nsystem\n(U\x02lstR."s), HasSubstr("os.system"));
  EXPECT_THAT(pickle_refusal("\x80\x04\x8c\x08"s + "builtins\x8c\x04" + "eval\x93."s), HasSubstr("builtins.eval"));
  EXPECT_THAT(pickle_refusal("\x80\x02"s + "ctorch\nload\n."s), HasSubstr("torch.load"));
  EXPECT_THAT(pickle_refusal("\x80\x02"s + "ctorch\nserialization.Storage\n."s), HasSubstr("torch.serialization.Storage"));
}

TEST(TorchFile, RefusesTensorsThatLeaveTheirStorage) {
  EXPECT_EQ(torch_refusal(legacy_file(tensor_pickle(2, 0, "K\x02", 1))), "");
  EXPECT_EQ(torch_refusal(legacy_file(tensor_pickle(2, 1, "K\x01", 1))), "");
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(2, 0, "K\x03", 1))), HasSubstr("beyond its storage of 2 elements"));
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(2, 1, "K\x02", 1))), HasSubstr("beyond its storage"));
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(2, 0, "K\x02", 2))), HasSubstr("beyond its storage"));
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(3, 0, "K\x02", 1))), HasSubstr("missing or too short"));
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(2, 0, "J\xff\xff\xff\xff", 1))), HasSubstr("negative size"));
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(2, 0, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s, 1))), HasSubstr("63 bits"));
  EXPECT_THAT(torch_refusal(legacy_file(tensor_pickle(2, 0, "J\x01\x01\x01\x01"s, 0))), HasSubstr("repeats its storage"));
  EXPECT_THAT(torch_refusal(legacy_file("\x80\x02}."s, false)), HasSubstr("holds no tensors"));
}

TEST(TorchFile, RefusesBrokenPickles) {
  for (const std::string& text : {""s,
                                  "\x80"s,
                                  "\x80\x02"s,
                                  "\x80\x02."s,
                                  "\x80\x02t."s,
                                  "\x80\x02q\x00."s,
                                  "\x80\x02h\x07."s,
                                  "\x80\x02Na."s,
                                  "\x80\x02}Ns."s,
                                  "\x80\x02}(Nu."s,
                                  "\x80\x02(."s,
                                  "\x80\x02NN\x81."s,
                                  "\x80\x02X\xff\xff\xff\xffz."s,
                                  "\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffz."s,
                                  "\x80\x05N."s,
                                  "\x80\x01N."s,
                                  "\x80\x02I5\n."s,
                                  "\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN."s,
                                  "\x80\x02Q."s,
                                  "\x80\x02NNb"s}) {
    EXPECT_NE(pickle_refusal(text), "") << testing::PrintToString(text);
  }
  EXPECT_THAT(pickle_refusal("\x80\x02"s + std::string((1U << 22) + 2, 'N') + "."s), HasSubstr("4 million"));
  EXPECT_THAT(pickle_refusal("\x80\x02"s + std::string((1U << 22) + 2, '(') + "."s), HasSubstr("4 million"));
}

TEST(TorchFile, CyclesAndSharedContainersEnd) {
  std::string cycle = "\x80\x02]q\x01h\x01"s + "a.";
  EXPECT_THAT(torch_refusal(legacy_file(cycle, false)), HasSubstr("nested too deep"));
  std::string doubling = "\x80\x02]q\x00"s;  // each list holds the one before it twice
  for (char i = 1; i < 31; ++i) doubling += "](h"s + static_cast<char>(i - 1) + "h" + static_cast<char>(i - 1) + "eq" + i;
  EXPECT_THAT(torch_refusal(legacy_file(doubling + ".", false)), HasSubstr("nested too deep"));
}

TEST(TorchFile, EveryTruncationIsRefused) {
  for (const char* name : {"linear.pt", "checkpoint_legacy.pt"}) {
    const std::string whole = tessera::read_file(golden(name));
    ASSERT_EQ(torch_refusal(whole), "");
    for (size_t length = 0; length < whole.size(); ++length) ASSERT_NE(torch_refusal(whole.substr(0, length)), "") << name << " " << length;
  }
}

TEST(TorchFile, RefusesOtherFiles) {
  EXPECT_THAT(torch_refusal(""), HasSubstr("no file of torch.save"));
  EXPECT_THAT(torch_refusal("PK\3\4 but not really"), HasSubstr("broken zip archive"));
  EXPECT_THAT(refusal([] { TorchFile::open(golden("versions.json")); }), HasSubstr("no file of torch.save"));
  EXPECT_THAT(refusal([] { TorchFile::open("/nonexistent.pt"); }), HasSubstr("does not exist"));
  EXPECT_THAT(refusal([] { TorchFile::open("/tmp"); }), HasSubstr("is a folder, a file is expected"));
}

}  // namespace
