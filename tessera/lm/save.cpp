#include "tessera/lm/save.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/tokenizer_files.h"
#include "tessera/lm/weight_map.h"

namespace tessera::lm {

namespace fs = std::filesystem;

// Files beside the weights that say how text becomes tokens and how to generate.
constexpr std::array kCompanions{"generation_config.json",
                                 "tokenizer.json",
                                 "tokenizer_config.json",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "tokenizer.model",
                                 "vocab.json",
                                 "merges.txt",
                                 "chat_template.jinja",
                                 "chat_template.json",
                                 "LICENSE",
                                 "LICENSE.txt"};

static Json config_to_write(const ModelConfig& config, torch::Dtype dtype) {
  auto json = config.raw;
  const char* name = dtype == torch::kBFloat16 ? "bfloat16" : dtype == torch::kFloat16 ? "float16" : "float32";
  json.erase("quantization_config");
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  return json;
}

static void copy_companions(const fs::path& from, const fs::path& to) {
  for (const char* name : kCompanions) {
    if (fs::is_regular_file(from / name)) write_file(to / name, read_file(from / name));
  }
}

void save_model(const Transformer& model, const fs::path& folder, const SaveOptions& options) {
  torch::NoGradGuard no_grad;
  const auto dtype = options.dtype.value_or(model->dtype());
  AtomicFolder target(folder);
  const auto& architecture = architecture_named(model->config().architecture);
  auto tensors = stored_tensors(model, architecture.in_folder);
  for (auto& [name, tensor] : tensors) {
    if (tensor.scalar_type() != dtype) tensor = tensor.to(dtype);
  }
  const auto config = config_to_write(model->config(), dtype);
  write_file(target.folder() / "config.json", config.dump(2) + "\n");
  tensor::save_safetensors(target.folder(), tensors, {{"format", "pt"}}, static_cast<uint64_t>(options.shard_bytes));
  if (!options.source.empty()) copy_tokenizer_files(options.source, config, target.folder());
  target.commit();
}

void copy_tokenizer_files(const fs::path& source, const Json& config, const fs::path& folder) {
  if (fs::is_directory(source)) {
    copy_companions(source, folder);
  } else {
    write_tokenizer_files(source, config, folder);
  }
}

}  // namespace tessera::lm
