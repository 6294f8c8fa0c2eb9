// inspect: what a model file or folder holds, without building the model. Takes hostile files: everything is checked by the rooms below.

#include "tessera/app/commands.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/base/progress.h"
#include "tessera/tensor/weights.h"
#include "tessera/text/tokenizer.h"

namespace tessera::app {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  bool tensors = false;
};

Json read_config_file(const fs::path& path) {
  Json config = try_parse_json(read_file(path, uint64_t{64} << 20));
  if (!config.is_object()) throw InputError("{}: no JSON object; copy the model again", path.string());
  return config;
}

// config.json beside the tensors, or a GGUF's metadata; null when there is neither.
Json describe_config(const fs::path& model, const tensor::Weights& weights) {
  if (const tensor::GgufFile* gguf = weights.gguf()) {
    Json config;
    for (const auto& key : gguf->keys()) config[key] = gguf->shown(key, 200);
    return config;
  }
  std::error_code error;
  const fs::path folder = fs::is_directory(model, error) ? model : model.parent_path();
  return fs::exists(folder / "config.json", error) ? read_config_file(folder / "config.json") : Json();
}

std::string architecture_of(const Json& config) {
  for (const char* key : {"general.architecture", "model_type"}) {
    const auto found = config.is_object() ? config.find(key) : config.end();
    if (config.is_object() && found != config.end() && found->is_string()) return found->get<std::string>();
  }
  return "unknown";
}

const char* model_kind(text::TokenizerSpec::Model model) {
  switch (model) {
    case text::TokenizerSpec::Model::bpe:
      return "BPE";
    case text::TokenizerSpec::Model::unigram:
      return "Unigram";
    case text::TokenizerSpec::Model::wordpiece:
      return "WordPiece";
    case text::TokenizerSpec::Model::wordlevel:
      break;
  }
  return "WordLevel";
}

bool may_have_tokenizer(const fs::path& model, const tensor::Weights& weights) {
  std::error_code error;
  if (const auto* gguf = weights.gguf()) return gguf->has("tokenizer.ggml.tokens");
  return fs::is_directory(model, error) && (fs::exists(model / "tokenizer.json", error) || fs::exists(model / "tokenizer.model", error));
}

// {kind, size, bos, eos, chat_template} or {problem}; null when the model brings none. A broken tokenizer does not hide the rest.
Json describe_tokenizer(const fs::path& model, const tensor::Weights& weights) {
  if (!may_have_tokenizer(model, weights)) return {};
  try {
    const auto tokenizer = text::Tokenizer::load(model);
    const auto id_or_null = [](const std::optional<text::TokenId>& id) { return id ? Json(*id) : Json(); };
    return {{"kind", model_kind(tokenizer.spec().model)},
            {"size", tokenizer.size()},
            {"bos_id", id_or_null(tokenizer.bos_id())},
            {"eos_id", id_or_null(tokenizer.eos_id())},
            {"chat_template", tokenizer.spec().chat_template.has_value()}};
  } catch (const InputError& error) {
    return {{"problem", error.what()}};
  }
}

Json tensor_table(const tensor::Weights& weights) {
  Json table = Json::array();
  for (const auto& tensor : weights.tensors())
    table.push_back(
        {{"name", tensor.name}, {"dtype", std::string(tensor::name(tensor.dtype))}, {"shape", tensor.shape}, {"bytes", tensor.bytes}});
  return table;
}

void print_config(const Json& config, run::Context& context) {
  if (!config.is_object()) return;
  context.line("\nconfiguration");
  for (const auto& [key, value] : config.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    context.line("  {:<40}{}", tessera::quoted(key), tessera::quoted(text, 80));
  }
}

void print_tensors(const Json& document, bool all, run::Context& context) {
  const auto& tensors = document["tensors"];
  constexpr size_t shown = 12;
  context.line("\ntensors");
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!all && i == shown) {
      context.line("  ... {} more; --tensors shows all", tensors.size() - shown);
      break;
    }
    context.line("  {:<52}{:<6}{:>10}  {}", tessera::quoted(tensors[i]["name"].get<std::string>(), 52),
                 tensors[i]["dtype"].get<std::string>(), short_bytes(tensors[i]["bytes"].get<double>()), tensors[i]["shape"].dump());
  }
}

void inspect(const InspectOptions& options, run::Context& context) {
  const auto weights = tensor::Weights::open(options.model);
  int64_t parameters = 0;
  uint64_t bytes = 0;
  std::map<std::string, int64_t> dtypes;
  for (const auto& tensor : weights.tensors()) {
    parameters += tensor.elements();
    bytes += tensor.bytes;
    dtypes[std::string(tensor::name(tensor.dtype))] += 1;
  }
  const Json config = describe_config(options.model, weights);
  const Json tokenizer = describe_tokenizer(options.model, weights);
  const Json document = {{"path", options.model},    {"architecture", architecture_of(config)},
                         {"parameters", parameters}, {"bytes", bytes},
                         {"dtypes", dtypes},         {"tokenizer", tokenizer},
                         {"config", config},         {"tensors", tensor_table(weights)}};
  context.line("{}: {}, {} parameters in {} tensors, {}", options.model, tessera::quoted(document["architecture"].get<std::string>()),
               short_count(static_cast<double>(parameters)), weights.tensors().size(), short_bytes(static_cast<double>(bytes)));
  context.line("types: {}", document["dtypes"].dump());
  context.line("tokenizer: {}", tokenizer.is_null() ? "none" : tokenizer.dump(-1, ' ', false, Json::error_handler_t::replace));
  print_config(config, context);
  print_tensors(document, options.tensors, context);
  context.result(document);
}

run::OptionTable<InspectOptions> inspect_options() {
  return run::OptionTable<InspectOptions>()
      .model("MODEL", &InspectOptions::model, "model folder, .gguf, .safetensors, .pt; or an installed model's name")
      .short_name('m')
      .flag("tensors", &InspectOptions::tensors, "list every tensor, not only the first")
      .group(run::Group::output)
      .example("tessera inspect smollm2", "configuration, sizes, tokenizer")
      .example("tessera inspect model.safetensors --tensors", "every tensor with its type and shape")
      .example("tessera inspect model.gguf --json", "the same for a script");
}

}  // namespace

run::Command inspect_command() { return run::command("inspect", "show what a model file or folder holds", inspect_options, inspect); }

}  // namespace tessera::app
