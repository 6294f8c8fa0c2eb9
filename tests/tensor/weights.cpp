#include "tessera/tensor/weights.h"

#include <gmock/gmock.h>

#include "tessera/tensor/gguf.h"
#include "tessera/tensor/quantised.h"
#include "tessera/tensor/quantised_blocks.h"
#include "tests/tensor/scratch.h"

namespace {

using namespace tessera::tensor;
using tensor_test::golden;
using tensor_test::refusal;
using testing::HasSubstr;

NamedTensors named_tensors() {
  torch::manual_seed(3);
  return {{"a", torch::randn({5, 7})},    {"b.half", torch::randn({4}).to(torch::kBFloat16)},
          {"ids", torch::arange(9)},      {"one", torch::tensor(2.5F)},
          {"none", torch::zeros({0, 3})}, {"turned", torch::randn({3, 4}).t()}};
}

void expect_same(const Weights& weights, const NamedTensors& expected) {
  EXPECT_EQ(weights.tensors().size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    const auto loaded = weights.load(name);
    EXPECT_EQ(loaded.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(torch::equal(loaded, tensor)) << name;
    EXPECT_TRUE(loaded.is_contiguous()) << name;
  }
}

TEST(Weights, SavedTensorsLoadFromFileFolderAndShards) {
  const tensor_test::ScratchFolder folder;
  const auto tensors = named_tensors();
  save_safetensors(folder / "x.safetensors", tensors, {{"format", "pt"}, {"note", "n"}});
  save_safetensors(folder / "whole", tensors);
  save_safetensors(folder / "parts", tensors, {}, 64);
  expect_same(Weights::open(folder / "x.safetensors"), tensors);
  expect_same(Weights::open(folder / "whole"), tensors);
  expect_same(Weights::open(folder / "parts"), tensors);
  EXPECT_TRUE(std::filesystem::exists(folder / "parts/model.safetensors.index.json"));
  EXPECT_EQ(Weights::open(folder / "x.safetensors").metadata().at("note"), "n");
}

TEST(Weights, ConvertsToTheDtypeAskedFor) {
  const auto weights = Weights::open(golden("plain.safetensors"));
  const auto wide = weights.load("bf16", torch::kFloat);
  EXPECT_EQ(wide.scalar_type(), torch::kFloat);
  EXPECT_TRUE(torch::equal(wide, weights.load("bf16").to(torch::kFloat)));
  EXPECT_EQ(weights.load("uint64").scalar_type(), torch::kUInt64);
  EXPECT_EQ(weights.load("scalar").item<float>(), 2.5F);
  EXPECT_EQ(weights.load("f8_e4m3").scalar_type(), torch::kFloat8_e4m3fn);
}

TEST(Weights, ChangedTensorsLeaveTheFileAlone) {
  const tensor_test::ScratchFolder folder;
  save_safetensors(folder / "x.safetensors", {{"a", torch::ones({64})}});
  torch::Tensor kept;
  {
    const auto weights = Weights::open(folder / "x.safetensors");
    kept = weights.load("a");
  }
  kept.mul_(3);  // the map outlives the file object, and pages are copied on writing
  EXPECT_EQ(kept.sum().item<float>(), 192.0F);
  EXPECT_EQ(Weights::open(folder / "x.safetensors").load("a").sum().item<float>(), 64.0F);
}

TEST(Weights, DecodesQuantisedTensorsWithEveryThreadCount) {
  const auto weights = Weights::open(golden("types.gguf"));
  const auto expected = Weights::open(golden("types_expected.safetensors"));
  ASSERT_NE(weights.gguf(), nullptr);
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (const TensorInfo& tensor : weights.tensors()) {
      EXPECT_TRUE(torch::equal(weights.load(tensor.name, torch::kFloat), expected.load(tensor.name))) << tensor.name;
    }
  }
  at::set_num_threads(before);
  EXPECT_EQ(weights.load("Q6_K", torch::kBFloat16).scalar_type(), torch::kBFloat16);
}

TEST(Weights, LargeQuantisedTensorsAreSplitOverThreads) {
  const tensor_test::ScratchFolder folder;
  torch::manual_seed(5);
  const auto rows = torch::randn({2048, 1024});
  TensorInfo info;
  info.name = "w";
  info.dtype = Dtype::q8_0;
  info.shape = {2048, 1024};
  std::vector<std::byte> encoded(bytes_of("w", Dtype::q8_0, info.shape));
  encode_from_float(Dtype::q8_0, rows.const_data_ptr<float>(), encoded.data(), rows.numel());
  GgufWriter writer;
  writer.add({info, [&] { return std::span<const std::byte>(encoded); }});
  writer.write(folder / "w.gguf");
  const auto loaded = Weights::open(folder / "w.gguf").load("w");
  std::vector<float> plain(static_cast<size_t>(rows.numel()));
  decode_to_float(Dtype::q8_0, encoded.data(), plain.data(), rows.numel());
  EXPECT_EQ(std::memcmp(loaded.const_data_ptr<float>(), plain.data(), plain.size() * sizeof(float)), 0);
  EXPECT_LT((loaded - rows).abs().max().item<float>(), 0.025F);  // half a step: the largest number / 127 / 2
}

TEST(Weights, LoadsIntoMemoryThatIsThere) {
  for (const char* file : {"types.gguf", "plain.safetensors", "checkpoint.pt"}) {
    const auto weights = Weights::open(golden(file));
    for (const TensorInfo& tensor : weights.tensors()) {
      if (!at::isFloatingType(scalar_type(tensor.dtype))) continue;
      for (const auto dtype : {torch::kFloat, torch::kBFloat16}) {
        const auto to = torch::full(tensor.shape, 7.0, dtype);
        weights.load_into(tensor.name, to);
        EXPECT_TRUE(torch::equal(to, weights.load(tensor.name).to(dtype))) << file << " " << tensor.name;
      }
    }
  }
  const auto weights = Weights::open(golden("types.gguf"));
  const auto& any = weights.tensors().front();
  EXPECT_THAT(refusal([&] { weights.load_into(any.name, torch::empty({3})); }), HasSubstr("expected a dense one"));
}

TEST(Weights, RowsAreThoseOfTheWholeMatrix) {
  for (const char* file : {"types.gguf", "plain.safetensors", "checkpoint.pt"}) {
    const auto weights = Weights::open(golden(file));
    int matrices = 0;
    for (const TensorInfo& tensor : weights.tensors()) {
      if (!at::isFloatingType(scalar_type(tensor.dtype)) || tensor.shape.size() != 2 || tensor.shape[0] == 0) continue;
      if (tensor.shape[1] % traits(tensor.dtype).block != 0) continue;
      ++matrices;
      const auto numbers = torch::arange(150, torch::kInt64).mul(7).remainder(tensor.shape[0]);  // some twice, out of order
      for (const auto dtype : {torch::kFloat, torch::kBFloat16}) {
        const auto expected = weights.load(tensor.name).to(dtype).index_select(0, numbers);
        EXPECT_TRUE(torch::equal(weights.rows(tensor.name, numbers, dtype), expected)) << file << " " << tensor.name;
      }
      EXPECT_EQ(weights.rows(tensor.name, numbers.slice(0, 0, 0), torch::kFloat).sizes(), (std::vector<int64_t>{0, tensor.shape[1]}));
      for (const int64_t wrong : {int64_t{-1}, tensor.shape[0]}) {
        EXPECT_THAT(refusal([&] { weights.rows(tensor.name, torch::tensor(wrong), torch::kFloat); }), HasSubstr("has no row"));
      }
    }
    EXPECT_GT(matrices, 0) << file;
  }
  const auto weights = Weights::open(golden("plain.safetensors"));
  EXPECT_THAT(refusal([&] { weights.rows("scalar", torch::tensor(int64_t{0}), torch::kFloat); }), HasSubstr("expected a matrix"));
}

TEST(Weights, LongTensorsAreLoadedInPieces) {
  const tensor_test::ScratchFolder folder;
  const auto rows = torch::arange(9'000'000, torch::kFloat).view({9000, 1000});  // more than one piece
  save_safetensors(folder / "x.safetensors", {{"a", rows}, {"b", rows.narrow(0, 0, 10)}});
  const auto weights = Weights::open(folder / "x.safetensors");
  const auto own = torch::empty_like(rows), rounded = torch::empty_like(rows, torch::kBFloat16);
  weights.load_into("a", own);
  weights.load_into("a", rounded);
  EXPECT_TRUE(torch::equal(own, rows));
  EXPECT_TRUE(torch::equal(rounded, rows.to(torch::kBFloat16)));
}

TEST(Weights, LoadingIntoMemoryGivesTheFilesPagesBack) {
  const tensor_test::ScratchFolder folder;
  save_safetensors(folder / "x.safetensors", {{"a", torch::ones({64, 1024})}, {"b", torch::ones({64, 1024})}});
  const auto weights = Weights::open(folder / "x.safetensors");
  const auto over_a = weights.load("a").mul_(3), over_b = weights.load("b").mul_(3);
  weights.load_into("a", torch::empty({64, 1024}));
  EXPECT_EQ(over_a[32].sum().item<float>(), 1024.0F) << "the changed page went, the file's came";
  EXPECT_EQ(over_b.sum().item<float>(), 3 * 65536.0F) << "the neighbour's pages stay";
}

TEST(Unfilled, LargeTensorsLieInMemoryOfTheirOwn) {
  for (const auto dtype : {torch::kFloat, torch::kBFloat16}) {
    auto large = unfilled({1500, 2000}, dtype);
    EXPECT_EQ(large.scalar_type(), dtype);
    EXPECT_TRUE(large.is_contiguous());
    EXPECT_EQ(large.fill_(2).to(torch::kDouble).sum().item<double>(), 6e6);
  }
  EXPECT_EQ(reinterpret_cast<uintptr_t>(unfilled({1500, 2000}, torch::kFloat).data_ptr()) % (2 << 20), 0U);
  EXPECT_EQ(unfilled({0, 3}, torch::kFloat).numel(), 0);
}

TEST(Weights, TakesTheStateDictOfACheckpoint) {
  const auto weights = Weights::open(golden("checkpoint.pt"));
  EXPECT_TRUE(weights.has("f32"));
  EXPECT_FALSE(weights.has("state_dict.f32"));
  EXPECT_FALSE(weights.has("optimizer.state.0.exp_avg"));
  EXPECT_TRUE(torch::equal(weights.load("transposed"), weights.load("f32").t()));
  EXPECT_TRUE(torch::equal(weights.load("every_other"), weights.load("f32").slice(0, 1, 6, 2).slice(1, 0, 5, 2)));
  EXPECT_TRUE(Weights::open(golden("linear.pt")).has("weight"));
}

TEST(Weights, SaysWhatIsMissing) {
  const tensor_test::ScratchFolder folder;
  EXPECT_THAT(refusal([&] { Weights::open(folder.path()); }), HasSubstr("holds no model.safetensors"));
  EXPECT_THAT(refusal([&] { Weights::open(folder / "none"); }), HasSubstr("does not exist"));
  EXPECT_THAT(refusal([&] { Weights::open(golden("versions.json")); }), HasSubstr("is no model file"));
  EXPECT_THAT(refusal([&] { Weights::open(golden("plain.safetensors")).load("z"); }), HasSubstr("has no tensor z"));
  tessera::write_file(folder / "pytorch_model.bin.index.json", "{}");
  EXPECT_THAT(refusal([&] { Weights::open(folder.path()); }), HasSubstr("save it as safetensors"));
}

TEST(Weights, ReadsDataAtOddAddresses) {
  const tensor_test::ScratchFolder folder;
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})" + std::string(3, ' ');
  const float numbers[2] = {1.5F, -2.0F};
  tessera::write_file(folder / "odd.safetensors", tensor_test::little_endian(header.size(), 8) + header +
                                                      std::string(reinterpret_cast<const char*>(numbers), sizeof(numbers)));
  ASSERT_NE((8 + header.size()) % 4, 0U);
  EXPECT_TRUE(torch::equal(Weights::open(folder / "odd.safetensors").load("a"), torch::tensor({1.5F, -2.0F})));
}

}  // namespace
