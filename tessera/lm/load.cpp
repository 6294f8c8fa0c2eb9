#include "tessera/lm/load.h"

#include <chrono>
#include <future>
#include <set>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/lm/architecture.h"
#include "tessera/lm/weight_map.h"
#include "tessera/run/installed.h"
#include "tessera/tensor/quantised.h"
#include "tessera/text/tokenizer.h"

namespace tessera::lm {

namespace fs = std::filesystem;

// '*' stands for any run of characters.
static bool matches_pattern(std::string_view text, std::string_view pattern) {
  size_t t = 0, p = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// The first names of a list, as text for an error line.
static std::string first_names(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 4; ++i) text += (i > 0 ? ", " : "") + tessera::quoted(names[i], 100);
  return names.size() > 4 ? text + fmt::format(" and {} more", names.size() - 4) : text;
}

// What does not fit between a model and a file.
struct WeightDifferences {
  std::vector<std::string> missing, unused, shapes;

  void check(const fs::path& path) const {
    std::string text;
    if (!missing.empty()) text += fmt::format(" {} not in the file: {};", missing.size(), first_names(missing));
    if (!unused.empty()) text += fmt::format(" {} of the file not used: {};", unused.size(), first_names(unused));
    if (!shapes.empty()) text += fmt::format(" {} of another shape: {};", shapes.size(), first_names(shapes));
    if (!text.empty())
      throw InputError("{} does not fit its configuration:{} check config.json and the weights belong together", path.string(), text);
  }
};

// The name under which the file holds a tensor: as it should be, or without the architecture's prefix (base models are saved so).
static std::string name_in_file(const tensor::Weights& weights, const std::string& name, std::string_view prefix) {
  if (!weights.has(name) && name.starts_with(prefix) && weights.has(name.substr(prefix.size()))) return name.substr(prefix.size());
  return name;
}

static std::string shape_of(const std::vector<int64_t>& shape) { return fmt::format("{}", Json(shape).dump()); }

// A parameter's values from the file: decoded straight into its memory where the file holds it as it is.
static void fill_parameter(torch::Tensor& parameter, const tensor::Weights& weights, const StoredAs& stored) {
  if (stored.as_it_is() && parameter.device().is_cpu() && parameter.is_contiguous()) return weights.load_into(stored.name, parameter);
  const bool exact = stored.add != 0.0;  // bring the gain to its own scale before it is rounded
  const auto whole = tensor::unfilled(weights.info(stored.name).shape, exact ? torch::kFloat32 : parameter.scalar_type());
  weights.load_into(stored.name, whole);
  parameter.copy_(from_stored(whole, stored));
}

constexpr std::string_view embedding_name = "model.embed_tokens.weight", head_name = "lm_head.weight";

// Whether a parameter has a row for every token.
static bool is_vocabulary(std::string_view name) { return name == embedding_name || name == head_name; }

void load_weights(Transformer& model, const fs::path& path, const std::vector<std::string>& allow_missing) {
  torch::NoGradGuard no_grad;
  const auto weights = tensor::Weights::open(path);
  const auto& architecture = architecture_named(model->config().architecture);
  WeightDifferences differences;
  std::set<std::string> used{weights.gguf() != nullptr ? "rope_freqs.weight" : ""};
  if (model->config().tied_head) used.insert(std::string(head_name));  // some writers store the tied matrix twice
  for (auto& parameter : model->named_parameters()) {
    auto stored = weights.gguf() != nullptr ? stored_in_gguf(model->config(), parameter.key()) : architecture.in_folder(parameter.key());
    stored.name = name_in_file(weights, stored.name, architecture.prefix);
    used.insert(stored.name);
    if (!weights.has(stored.name)) {
      const auto allowed = [&](const std::string& pattern) {
        return matches_pattern(parameter.key(), pattern) || matches_pattern(stored.name, pattern);
      };
      if (std::none_of(allow_missing.begin(), allow_missing.end(), allowed)) differences.missing.push_back(stored.name);
      continue;
    }
    // The shape is compared before a byte is decoded.
    const auto& info = weights.info(stored.name);
    const bool stays = is_vocabulary(parameter.key()) && parameter->size(0) == 0;
    auto expected = parameter->sizes().vec();
    if (stays) expected[0] = model->config().vocab;
    expected[0] *= stored.parts;
    if (stored.transposed) std::swap(expected[0], expected[1]);
    if (info.shape != expected) {
      differences.shapes.push_back(fmt::format("{} {} for {}", stored.name, shape_of(info.shape), shape_of(expected)));
      continue;
    }
    if (!stays) {
      fill_parameter(parameter.value(), weights, stored);
    } else if (parameter.key() == embedding_name) {
      TORCH_INTERNAL_ASSERT(stored.as_it_is());
      model->token_rows = [weights, name = stored.name, dtype = model->dtype()](const torch::Tensor& ids) {
        return weights.rows(name, ids, dtype);
      };
    }
  }
  for (const auto& info : weights.tensors()) {
    if (!used.contains(info.name) && !architecture.ignored(info.name)) differences.unused.push_back(info.name);
  }
  differences.check(path);
  if (model->config().unit_head) {
    auto head = model->named_parameters()[std::string(head_name)];
    const auto wide = head.to(torch::kFloat32), length = wide.norm(2, 1, true).clamp_min(1e-12);
    head.copy_(wide / length.masked_fill((length - 1.0).abs() < 1e-6, 1.0));  // a row that has length one keeps its bits
  }
  model->fuse();  // does nothing for a model whose memory was laid out before
}

static torch::Dtype choose_dtype(const LoadOptions& options, std::string& note) {
  if (options.dtype == DtypeChoice::fp32) return note = "fp32 (asked for)", torch::kFloat32;
  if (options.dtype == DtypeChoice::bf16) return note = "bf16 (asked for)", torch::kBFloat16;
  if (!options.device.is_cpu()) return note = "bf16 (the device has it)", torch::kBFloat16;
  const auto rule = cpu_dtype(cpu_facts());
  note = fmt::format("{} ({})", rule.dtype == torch::kBFloat16 ? "bf16" : "fp32", rule.why);
  return rule.dtype;
}

// The model with its memory in `dtype`, laid out for its products and not yet touched; without a head the vocabulary has no rows.
static Transformer empty_model(const ModelConfig& config, torch::Dtype dtype, torch::Device device, bool head) {
  Transformer model(config);
  model->eval();
  for (auto& item : model->named_parameters()) {
    auto& parameter = item.value();
    parameter.set_requires_grad(false);
    auto shape = parameter.sizes().vec();
    if (!head && is_vocabulary(item.key())) shape[0] = 0;
    if (parameter.dim() > 1 || dtype != torch::kFloat32 || !device.is_cpu())
      parameter.set_data(tensor::unfilled(shape, torch::dtype(dtype).device(device)));
  }
  model->fuse(nn::Contents::unfilled);
  return model;
}

static void append_ids(const Json& config, std::vector<int64_t>& ids) {
  const auto add = [&](const Json& id) {
    if (id.is_number_integer() && std::find(ids.begin(), ids.end(), id.get<int64_t>()) == ids.end()) ids.push_back(id.get<int64_t>());
  };
  if (!config.is_object() || !config.contains("eos_token_id")) return;
  const auto& eos = config["eos_token_id"];
  if (!eos.is_array()) return add(eos);
  for (const auto& id : eos) add(id);
}

static std::vector<int64_t> end_ids_of(const fs::path& path, const ModelConfig& config, const tensor::GgufFile* gguf) {
  std::vector<int64_t> ids;
  append_ids(config.raw, ids);
  if (gguf != nullptr) {
    for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
      if (gguf->has(key)) append_ids({{"eos_token_id", gguf->u64(key)}}, ids);
    }
  } else if (const auto file = path / "generation_config.json"; fs::is_regular_file(file)) {
    append_ids(try_parse_json(read_file(file, 1 << 20)), ids);
  }
  std::erase_if(ids, [&](int64_t id) { return id < 0 || id >= config.vocab; });
  return ids;
}

// A folder that holds one .gguf and no config.json stands for that file.
static fs::path model_file(const fs::path& path) {
  if (!fs::is_directory(path) || fs::is_regular_file(path / "config.json")) return path;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  }
  if (found.size() == 1) return found[0];
  throw InputError("{} has no config.json and {} .gguf files; give a model's folder or one .gguf file", path.string(), found.size());
}

// The tokenizer, or why there is none that can be used: the weights are of use without it, whoever needs text says the reason.
struct TokenizerOrProblem {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string problem;
};

static TokenizerOrProblem load_tokenizer(const fs::path& path) {
  try {
    return {std::make_shared<const text::Tokenizer>(text::Tokenizer::load(path)), ""};
  } catch (const InputError& error) {
    return {nullptr, error.what()};
  }
}

static void take_tokenizer(LoadedModel& loaded, TokenizerOrProblem read) {
  loaded.tokenizer = std::move(read.tokenizer);
  loaded.tokenizer_problem = std::move(read.problem);
  if (!loaded.tokenizer) return;
  loaded.chat_template = loaded.tokenizer->spec().chat_template.value_or("");
  if (const auto end = loaded.tokenizer->eos_id()) append_ids({{"eos_token_id", *end}}, loaded.end_ids);
}

LoadedModel load_model(std::string_view name, const LoadOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  LoadedModel loaded;
  loaded.path = model_file(run::find_model(std::string(name)));
  std::future<TokenizerOrProblem> tokenizer;  // read beside the weights
  if (options.tokenizer) tokenizer = std::async(std::launch::async, load_tokenizer, loaded.path);
  const bool folder = fs::is_directory(loaded.path);
  std::optional<tensor::GgufFile> gguf;
  if (!folder) gguf = tensor::GgufFile::open(loaded.path);
  auto config = folder ? read_config(loaded.path / "config.json") : parse_config(config_from_gguf(*gguf));
  if (options.window) set_window(config, *options.window);
  const auto dtype = choose_dtype(options, loaded.dtype_note);
  loaded.model = empty_model(config, dtype, options.device, options.head);
  load_weights(loaded.model, loaded.path, options.allow_missing);
  loaded.end_ids = end_ids_of(loaded.path, config, gguf ? &*gguf : nullptr);
  if (options.tokenizer) take_tokenizer(loaded, tokenizer.get());
  loaded.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return loaded;
}

}  // namespace tessera::lm
