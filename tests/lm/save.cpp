#include "tessera/lm/save.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/gguf_export.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

static torch::Tensor golden_logits(const std::filesystem::path& path, const torch::Tensor& ids) {
  torch::InferenceMode inference;
  auto loaded = load_model(path.string(), {.dtype = DtypeChoice::fp32, .device = torch::kCPU, .allow_missing = {}, .tokenizer = false});
  return loaded.model->forward(ids);
}

TEST(Save, AFolderComesBackBitForBit) {
  for (const auto& name : golden_names()) {
    ScratchFolder scratch;
    Golden golden(name);
    save_model(golden.model, scratch / "copy", {.source = golden_folder(name)});
    EXPECT_TRUE(torch::equal(golden_logits(scratch / "copy", golden["ids"]), golden_logits(golden_folder(name), golden["ids"]))) << name;
  }
}

TEST(Save, AGgufComesBackBitForBit) {
  for (const auto& name : golden_names()) {
    for (const char* type : {"F32", "BF16"}) {
      ScratchFolder scratch;
      Golden golden(name);
      convert_model(golden_folder(name).string(), scratch / "model.gguf", {.type = type});
      EXPECT_LT(error_of_scale(golden_logits(scratch / "model.gguf", golden["ids"]), golden["logits"]), 1e-4) << name << " " << type;
    }
  }
}

TEST(Save, QuantisedFilesStayNear) {
  ScratchFolder scratch;
  Golden golden("gemma3");
  convert_model(golden_folder("gemma3").string(), scratch / "q8.gguf", {.type = "Q8_0"});
  const double error = error_of_scale(golden_logits(scratch / "q8.gguf", golden["ids"]), golden["logits"]);
  EXPECT_GT(error, 0.0);
  EXPECT_LT(error, 0.05);
}

TEST(Save, RefusesToWriteOverAModelAndUnknownTypes) {
  ScratchFolder scratch;
  Golden golden("llama");
  save_model(golden.model, scratch / "copy");
  EXPECT_THROW(save_model(golden.model, scratch / "copy"), InputError);
  EXPECT_THROW(convert_model(golden_folder("llama").string(), scratch / "x.gguf", {.type = "Q2_K"}), InputError);
  EXPECT_THROW(convert_model(golden_folder("llama").string(), scratch / "x", {.type = "Q8_0"}), InputError);
  EXPECT_FALSE(std::filesystem::exists(scratch / "x.gguf"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "x"));
}

TEST(Load, ListsWhatDoesNotFit) {
  ScratchFolder scratch;
  Golden golden("llama");
  save_model(golden.model, scratch / "copy");
  auto config = Json::parse(read_file(scratch / "copy" / "config.json"));
  config["num_hidden_layers"] = 3;
  write_file(scratch / "copy" / "config.json", config.dump());
  try {
    load_model((scratch / "copy").string());
    FAIL() << "a third layer is missing";
  } catch (const InputError& error) {
    const std::string line = error.what();
    EXPECT_NE(line.find("9 not in the file: model.layers.2.input_layernorm.weight"), std::string::npos) << line;
  }
  config["num_hidden_layers"] = 1;
  write_file(scratch / "copy" / "config.json", config.dump());
  EXPECT_THROW(load_model((scratch / "copy").string()), InputError) << "tensors of the second layer would be ignored";
  config["num_hidden_layers"] = 2;
  config["intermediate_size"] = 40;
  write_file(scratch / "copy" / "config.json", config.dump());
  EXPECT_THROW(load_model((scratch / "copy").string()), InputError) << "another shape";
}

}  // namespace tessera::lm
