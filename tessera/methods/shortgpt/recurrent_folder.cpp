#include "tessera/methods/shortgpt/recurrent_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/tensor/weights.h"

namespace tessera::shortgpt {
namespace {

using Json = nlohmann::ordered_json;

Json config_of(const std::filesystem::path& folder) {
  auto config = try_parse_json(read_file(folder / "config.json", 1 << 24));
  if (!config.is_object()) throw InputError("{}: not a JSON object; copy the model's config.json again", (folder / "config.json").string());
  return config;
}

// The block a tensor belongs to and the rest of its name; -1 outside the blocks.
std::pair<int64_t, std::string> block_of_name(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {-1, name};
  int64_t index = -1;
  const char *begin = name.data() + prefix.size(), *end = name.data() + name.size();
  const auto [stop, problem] = std::from_chars(begin, end, index);
  if (problem != std::errc() || index < 0) return {-1, name};
  return {index, std::string(stop, end)};
}

// Fills the module's parameters by name. `spare`: a tensor that may stand in the file though the module does not need it.
void load_parameters(torch::nn::Module& module, const std::filesystem::path& folder, const std::string& spare) {
  const auto weights = tensor::Weights::open(folder);
  torch::NoGradGuard no_gradient;
  std::set<std::string> used = {spare};
  for (auto& parameter : module.named_parameters()) {
    const auto& name = parameter.key();
    if (!weights.has(name)) throw InputError("{}: tensor {} is missing; copy the model again", folder.string(), name);
    const auto value = weights.load(name, torch::kFloat);
    if (value.sizes() != parameter->sizes()) {
      throw InputError("{}: tensor {} has another shape than config.json asks for; copy the model again", folder.string(), name);
    }
    parameter->copy_(value);
    used.insert(name);
  }
  for (const auto& info : weights.tensors()) {
    if (!used.contains(info.name)) {
      throw InputError("{}: tensor {} has no place in the model that config.json describes; copy the model again", folder.string(),
                       tessera::quoted(info.name));
    }
  }
  module.eval();
  for (auto& parameter : module.parameters()) parameter.requires_grad_(false);
}

}  // namespace

Recurrent recurrent_kind(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path / "config.json")) return Recurrent::none;
  const auto config = config_of(path);
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) return Recurrent::none;
  return *type == "mamba" ? Recurrent::mamba : *type == "rwkv" ? Recurrent::rwkv : Recurrent::none;
}

nn::Mamba load_mamba(const std::filesystem::path& folder) {
  nn::Mamba model(nn::parse_mamba_config(config_of(folder)));
  load_parameters(*model, folder, "lm_head.weight");  // tied to the embedding
  return model;
}

nn::Rwkv load_rwkv(const std::filesystem::path& folder) {
  nn::Rwkv model(nn::parse_rwkv_config(config_of(folder)));
  load_parameters(*model, folder, "head.weight");
  return model;
}

void prune_recurrent(const std::filesystem::path& folder, const std::vector<int64_t>& removed, const std::filesystem::path& out) {
  auto config = config_of(folder);
  const bool rwkv = recurrent_kind(folder) == Recurrent::rwkv;
  int64_t left = 0;  // after every check that loading and removing make
  if (rwkv) {
    auto model = load_rwkv(folder);
    model->remove_blocks(removed);
    left = model->depth();
  } else {
    auto model = load_mamba(folder);
    model->remove_blocks(removed);
    left = model->depth();
  }
  const std::string prefix = rwkv ? "rwkv.blocks." : "backbone.layers.";
  const std::set<int64_t> gone(removed.begin(), removed.end());
  const auto weights = tensor::Weights::open(folder);
  tensor::NamedTensors tensors;
  for (const auto& info : weights.tensors()) {
    const auto [index, rest] = block_of_name(info.name, prefix);
    const bool stays = index < 0 || (rwkv && index == 0 && rest.starts_with(".pre_ln."));
    if (!stays && gone.contains(index)) continue;
    const auto before = std::distance(gone.begin(), gone.lower_bound(index));
    tensors.emplace_back(stays ? info.name : fmt::format("{}{}{}", prefix, index - before, rest), weights.load(info.name));
  }
  config["num_hidden_layers"] = left;
  if (config.contains("n_layer")) config["n_layer"] = left;
  config["tessera"]["removed_layers"] = std::vector<int64_t>(gone.begin(), gone.end());
  AtomicFolder target(out);
  tensor::save_safetensors(target.folder() / "model.safetensors", tensors);
  write_file(target.folder() / "config.json", config.dump(2) + "\n");
  for (const auto* name : {"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (std::filesystem::is_regular_file(folder / name)) std::filesystem::copy_file(folder / name, target.folder() / name);
  }
  target.commit();
}

}  // namespace tessera::shortgpt
