#include "tessera/lm/gguf_export.h"

#include <ATen/Parallel.h>

#include "tessera/base/error.h"
#include "tessera/lm/load.h"
#include "tessera/lm/save.h"
#include "tessera/lm/tokenizer_files.h"
#include "tessera/lm/weight_map.h"
#include "tessera/run/installed.h"
#include "tessera/tensor/quantised_blocks.h"
#include "tessera/text/tokenizer.h"

namespace tessera::lm {

namespace fs = std::filesystem;

static tensor::Dtype gguf_type_named(const std::string& type) {
  const auto found = tensor::dtype_named(type);
  for (const auto known :
       {tensor::Dtype::f32, tensor::Dtype::f16, tensor::Dtype::bf16, tensor::Dtype::q8_0, tensor::Dtype::q4_0, tensor::Dtype::q4_1}) {
    if (found == known) return known;
  }
  throw InputError("the type is {}; expected F32, F16, BF16, Q8_0, Q4_0 or Q4_1", tessera::quoted(type));
}

// llama.cpp's general.file_type of a model whose matrices have this type.
static uint32_t gguf_file_type(tensor::Dtype type) {
  switch (type) {
    case tensor::Dtype::f16:
      return 1;
    case tensor::Dtype::q4_0:
      return 2;
    case tensor::Dtype::q4_1:
      return 3;
    case tensor::Dtype::q8_0:
      return 7;
    case tensor::Dtype::bf16:
      return 32;
    default:
      return 0;
  }
}

// The tensor's values in the type, encoded when the writer asks for them.
static tensor::TensorSource gguf_source(const std::string& name, const torch::Tensor& values, tensor::Dtype type) {
  const auto shape = values.sizes().vec();
  if (values.dim() == 1) type = tensor::Dtype::f32;  // norms and biases: small, and not products
  const int64_t block = tensor::traits(type).block, width = shape.back();
  if (width % block != 0) {
    throw InputError("{} has rows of {} values, which {} cannot hold (blocks of {}); use F16 or BF16", tessera::quoted(name, 100), width,
                     tensor::name(type), block);
  }
  const uint64_t bytes = tensor::bytes_of(name, type, shape);
  auto encoded = std::make_shared<std::vector<std::byte>>();
  return {.info = {.name = name, .dtype = type, .shape = shape, .bytes = bytes}, .bytes = [=] {
            const auto floats = values.to(torch::kCPU, torch::kFloat32).contiguous();
            encoded->resize(bytes);
            const auto* from = floats.const_data_ptr<float>();
            const int64_t row_bytes = static_cast<int64_t>(bytes) / (floats.numel() / width);
            at::parallel_for(0, floats.numel() / width, 64, [&](int64_t begin, int64_t end) {
              tensor::encode_from_float(type, from + begin * width, encoded->data() + begin * row_bytes, (end - begin) * width);
            });
            return std::span<const std::byte>(*encoded);
          }};
}

void export_gguf(const Transformer& model, const fs::path& source, const fs::path& out, const std::string& type_name) {
  torch::NoGradGuard no_grad;
  const auto type = gguf_type_named(type_name);
  const auto& config = model->config();
  const auto& architecture = architecture_named(config.architecture);
  const bool uneven = std::any_of(config.layers.begin(), config.layers.end(), [&](const auto& layer) {
    return !layer.attention || !layer.ffn || layer.ffn_width != config.layers.front().ffn_width;
  });
  if (uneven || config.placement == NormPlacement::post) {
    throw InputError("GGUF's {} cannot describe blocks without a branch, of uneven width or with norms behind them; write a folder instead",
                     architecture.gguf);
  }
  const bool read_with_alibi = architecture.gguf_alibi_depth > 0 && config.depth() == architecture.gguf_alibi_depth;
  if (config.alibi != read_with_alibi) {
    throw InputError(
        "GGUF's {} has ALiBi with {} blocks and rotates with any other number; this one has {} blocks and {}; write a folder instead",
        architecture.gguf, architecture.gguf_alibi_depth, config.depth(), config.alibi ? "ALiBi" : "rotates");
  }
  tensor::GgufWriter writer;
  writer.set("general.architecture", architecture.gguf);
  writer.set("general.name", source.stem().empty() ? std::string("model") : source.stem().string());
  writer.set_u32("general.file_type", gguf_file_type(type));
  writer.set_u32("general.quantization_version", 2);
  architecture.to_gguf(config, writer);
  writer.set("tessera.config", config.raw.dump());
  if (config.rope.scaling == nn::RopeScaling::llama3) {
    auto plain = config.rope;
    plain.scaling = nn::RopeScaling::none;
    writer.add(gguf_source("rope_freqs.weight",
                           nn::rope_frequencies(plain, config.head_width) / nn::rope_frequencies(config.rope, config.head_width), type));
  }
  if (!source.empty()) write_gguf_tokenizer(source, config.raw, writer);
  for (const auto& [name, values] :
       stored_tensors(model, [&](const std::string& parameter) { return stored_in_gguf(config, parameter); })) {
    writer.add(gguf_source(name, values, type));
  }
  writer.write(out);
}

// Whether the matrices of a model on disk are float32.
static bool in_fp32(const fs::path& path) {
  const auto weights = tensor::Weights::open(path);
  return std::all_of(weights.tensors().begin(), weights.tensors().end(),
                     [](const auto& t) { return t.shape.size() < 2 || t.dtype == tensor::Dtype::f32; });
}

void convert_model(const std::string& in, const fs::path& out, const ConvertOptions& options) {
  if (fs::exists(out) && !(fs::is_directory(out) && fs::is_empty(out))) throw InputError("{} exists; give a new name", out.string());
  const auto path = run::find_model(in);
  const bool to_gguf = out.extension() == ".gguf";
  if (!to_gguf && !options.type.empty() && options.type != "F32" && options.type != "BF16") {
    throw InputError("a model folder holds F32 or BF16, given {}; for other types let the output end in .gguf",
                     tessera::quoted(options.type));
  }
  if (to_gguf && !options.type.empty()) gguf_type_named(options.type);
  const auto loaded =
      load_model(path.string(), {.dtype = DtypeChoice::fp32, .device = torch::kCPU, .allow_missing = {}, .tokenizer = false});
  const auto type = options.type.empty() ? std::string(in_fp32(loaded.path) ? "F32" : "BF16") : options.type;
  if (to_gguf) return export_gguf(loaded.model, loaded.path, out, type);
  save_model(loaded.model, out,
             {.source = loaded.path, .dtype = type == "F32" ? torch::kFloat32 : torch::kBFloat16, .shard_bytes = options.shard_bytes});
}

}  // namespace tessera::lm
