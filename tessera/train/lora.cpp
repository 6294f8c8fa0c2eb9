#include "tessera/train/lora.h"

#include <fmt/ranges.h>

#include <cmath>
#include <set>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/tensor/draw.h"
#include "tessera/tensor/shapes.h"
#include "tessera/tensor/weights.h"

namespace tessera::train {

namespace {

using Json = nlohmann::ordered_json;

struct NamedLinear {
  std::string path;  // "model.layers.0.self_attn.q_proj"
  nn::Linear layer;
};

std::string last_word(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::vector<NamedLinear> linears_of(torch::nn::Module& model) {
  std::vector<NamedLinear> found;
  for (const auto& named : model.named_modules("", /*include_self=*/false)) {
    if (auto layer = std::dynamic_pointer_cast<nn::LinearImpl>(named.value())) found.push_back({named.key(), nn::Linear(layer)});
  }
  return found;
}

std::vector<NamedLinear> adapted(torch::nn::Module& model) {
  auto all = linears_of(model);
  std::erase_if(all, [](const NamedLinear& named) { return !named.layer->low_rank; });
  return all;
}

// The layers that options.targets names.
std::vector<NamedLinear> targets_of(torch::nn::Module& model, const std::vector<std::string>& targets) {
  const auto all = linears_of(model);
  std::set<std::string> names;
  for (const auto& named : all) names.insert(last_word(named.path));
  for (const auto& target : targets) {
    if (!names.contains(target))
      throw InputError("LoRA target {}: the model has no such linear layer; its layers are {}", tessera::quoted(target),
                       fmt::join(names, ", "));
  }
  auto chosen = all;
  if (!targets.empty()) {
    std::erase_if(chosen, [&](const NamedLinear& named) {
      return std::find(targets.begin(), targets.end(), last_word(named.path)) == targets.end();
    });
  }
  if (chosen.empty()) throw InputError("the model has no linear layer that LoRA could adapt");
  return chosen;
}

void refuse_second(torch::nn::Module& model) {
  if (!adapted(model).empty()) throw InputError("the model has LoRA adapters already; merge or remove them first");
}

Json read_adapter_config(const std::filesystem::path& folder) {
  const auto path = folder / "adapter_config.json";
  auto config = try_parse_json(read_file(path, uint64_t{1} << 24));
  if (!config.is_object()) throw InputError("{} is not JSON; copy the adapter again", path.string());
  const auto refuse = [&](const std::string& key, const std::string& why) {
    throw InputError("{}: {} is {}; {}", path.string(), key, tessera::quoted(config[key].dump()), why);
  };
  if (config.value("peft_type", Json("LORA")) != "LORA") refuse("peft_type", "only LORA is read");
  if (config.value("bias", Json("none")) != "none") refuse("bias", "trained biases are not supported");
  for (const char* key : {"use_dora", "use_qalora"}) {
    if (config.contains(key) && config[key] == true) refuse(key, "only plain LoRA is read");
  }
  for (const char* key : {"rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication"}) {
    if (config.contains(key) && !config[key].empty()) refuse(key, "only one rank and one alpha for all layers are read");
  }
  for (const char* key : {"r", "lora_alpha"}) {
    if (!config.contains(key) || !config[key].is_number()) throw InputError("{}: the number {} is missing", path.string(), key);
  }
  if (config["r"].get<double>() < 1) refuse("r", "expected 1 or more");
  return config;
}

const std::string kPrefix = "base_model.model.";

}  // namespace

void add_lora(torch::nn::Module& model, const LoraOptions& options) {
  refuse_second(model);
  if (options.rank < 1) throw InputError("LoRA rank {}; give 1 or more", options.rank);
  auto chosen = targets_of(model, options.targets);
  for (const auto& named : chosen) {
    const auto& weight = named.layer->weight;
    const int64_t most = std::min(weight.size(0), weight.size(1));
    if (options.rank > most)
      throw InputError("LoRA rank {}: {} is {} and has rank {} at most; give a smaller rank", options.rank, named.path,
                       tensor::shape_text(weight.sizes()), most);
  }
  for (auto& parameter : model.parameters()) parameter.requires_grad_(false);
  for (auto& named : chosen) {
    const auto& weight = named.layer->weight;
    const double bound = 1.0 / std::sqrt(static_cast<double>(weight.size(1)));
    auto a = tensor::uniform_draw({options.rank, weight.size(1)}, bound, options.seed, "lora/" + named.path).to(weight.device());
    auto b = torch::zeros({weight.size(0), options.rank}, torch::TensorOptions(torch::kFloat32).device(weight.device()));
    named.layer->low_rank =
        nn::LowRank{a.requires_grad_(true), b.requires_grad_(true), options.alpha / static_cast<double>(options.rank), true};
  }
}

std::vector<Parameter> lora_parameters(torch::nn::Module& model, double weight_decay) {
  std::vector<Parameter> parameters;
  for (auto&& named : adapted(model)) {
    parameters.push_back(
        {.name = named.path + ".lora_A.weight", .value = named.layer->low_rank->a, .weight_decay = weight_decay, .matrix = true});
    parameters.push_back(
        {.name = named.path + ".lora_B.weight", .value = named.layer->low_rank->b, .weight_decay = weight_decay, .matrix = true});
  }
  return parameters;
}

std::set<std::string> lora_layers(torch::nn::Module& model) {
  std::set<std::string> paths;
  for (const auto& named : adapted(model)) paths.insert(named.path);
  return paths;
}

void merge_lora(torch::nn::Module& model) {
  torch::NoGradGuard no_gradient;
  for (auto&& named : adapted(model)) {
    auto& weight = named.layer->weight;
    const auto& low = *named.layer->low_rank;
    weight.copy_(at::addmm(weight.to(torch::kFloat32), low.b, low.a, 1.0, low.scale));
    named.layer->low_rank.reset();
  }
}

void remove_lora(torch::nn::Module& model) {
  for (auto&& named : adapted(model)) named.layer->low_rank.reset();
}

LoraOff::LoraOff(torch::nn::Module& model) {
  for (auto& named : adapted(model)) {
    if (!named.layer->low_rank->on) continue;
    named.layer->low_rank->on = false;
    layers_.push_back(named.layer);
  }
}

LoraOff::~LoraOff() {
  for (auto& layer : layers_) {
    if (layer->low_rank) layer->low_rank->on = true;
  }
}

void save_lora(torch::nn::Module& model, const std::filesystem::path& folder, const std::string& base) {
  const auto layers = adapted(model);
  if (layers.empty()) throw InputError("the model has no LoRA adapters to save");
  tensor::NamedTensors tensors;
  std::set<std::string> targets;
  for (const auto& named : layers) {
    targets.insert(last_word(named.path));
    tensors.emplace_back(kPrefix + named.path + ".lora_A.weight", named.layer->low_rank->a.detach());
    tensors.emplace_back(kPrefix + named.path + ".lora_B.weight", named.layer->low_rank->b.detach());
  }
  const int64_t rank = layers.front().layer->low_rank->a.size(0);
  const Json config = {{"base_model_name_or_path", base},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"inference_mode", true},
                       {"init_lora_weights", true},
                       {"lora_alpha", layers.front().layer->low_rank->scale * static_cast<double>(rank)},
                       {"lora_dropout", 0.0},
                       {"modules_to_save", nullptr},
                       {"peft_type", "LORA"},
                       {"r", rank},
                       {"target_modules", targets},
                       {"task_type", "CAUSAL_LM"}};
  tensor::save_safetensors(folder / "adapter_model.safetensors", tensors);
  write_file(folder / "adapter_config.json", config.dump(2) + "\n");
}

void load_lora(torch::nn::Module& model, const std::filesystem::path& folder) {
  refuse_second(model);
  const auto config = read_adapter_config(folder);
  const auto weights = tensor::Weights::open(folder / "adapter_model.safetensors");
  const auto rank = config["r"].get<int64_t>();
  const bool rs = config.contains("use_rslora") && config["use_rslora"] == true;  // alpha / sqrt(r), arXiv 2312.03732
  const double scale = config["lora_alpha"].get<double>() / (rs ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
  std::set<std::string> used;
  std::vector<std::pair<nn::Linear, nn::LowRank>> loaded;
  for (auto& named : linears_of(model)) {
    const std::string a = kPrefix + named.path + ".lora_A.weight", b = kPrefix + named.path + ".lora_B.weight";
    if (!weights.has(a) && !weights.has(b)) continue;
    const auto& weight = named.layer->weight;
    const auto take = [&](const std::string& name, const std::vector<int64_t>& sizes) {
      auto values = weights.load(name, torch::kFloat32);
      if (values.sizes() != at::IntArrayRef(sizes))
        throw InputError("{}: {} is {}, expected {}; is it an adapter of another model?", folder.string(), name,
                         tensor::shape_text(values.sizes()), tensor::shape_text(sizes));
      used.insert(name);
      return values.to(weight.device(), torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
    };
    loaded.emplace_back(named.layer, nn::LowRank{take(a, {rank, weight.size(1)}), take(b, {weight.size(0), rank}), scale, true});
  }
  for (const auto& info : weights.tensors()) {
    if (!used.contains(info.name))
      throw InputError("{}: {} belongs to no linear layer of the model; is it an adapter of another model?", folder.string(),
                       tessera::quoted(info.name, 120));
  }
  if (loaded.empty()) throw InputError("{}: adapter_model.safetensors holds no tensor; copy the adapter again", folder.string());
  for (auto& [layer, low] : loaded) layer->low_rank = std::move(low);
}

void read_lora_in_place(torch::nn::Module& model, const std::filesystem::path& folder) {
  torch::NoGradGuard no_gradient;
  const auto weights = tensor::Weights::open(folder / "adapter_model.safetensors");
  const auto parameters = lora_parameters(model);
  if (weights.tensors().size() != parameters.size())
    throw InputError("{} has {} tensors, and the model's adapters {}; resume with the options of the run", folder.string(),
                     weights.tensors().size(), parameters.size());
  for (const auto& parameter : parameters) {
    const auto saved = weights.load(kPrefix + parameter.name, torch::kFloat32);
    if (saved.sizes() != parameter.value.sizes())
      throw InputError("{}: {} is {}, expected {}; resume with the options of the run", folder.string(), parameter.name,
                       tensor::shape_text(saved.sizes()), tensor::shape_text(parameter.value.sizes()));
    parameter.value.detach().copy_(saved);
  }
}

}  // namespace tessera::train
