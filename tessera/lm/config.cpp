#include "tessera/lm/config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/lm/architecture.h"

namespace tessera::lm {

std::span<const Architecture> architectures() {
  static const std::array known{arch_llama(), arch_mistral(), arch_qwen2(), arch_gemma3(), arch_gpt2(), arch_baichuan()};
  return known;
}

const Architecture& architecture_named(std::string_view model_type) {
  std::string names;
  for (const auto& known : architectures()) {
    if (known.name == model_type) return known;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  throw InputError("model_type {} is not known; known are {}", tessera::quoted(model_type), names);
}

// raw["tessera"]: what Hugging Face's keys cannot say.
static void read_extensions(const ConfigReader& reader, ModelConfig& config) {
  const auto* ours = reader.find("tessera");
  if (ours == nullptr) return;
  if (!ours->is_object()) throw InputError("config.json: tessera is {}; expected an object", tessera::quoted(ours->dump()));
  const ConfigReader extension(*ours);
  if (const auto* removed = extension.find("removed_layers")) {
    const auto is_layer = [](const Json& index) { return index.is_number_integer() && index >= 0 && index < 100'000; };
    if (!removed->is_array() || !std::all_of(removed->begin(), removed->end(), is_layer))
      throw InputError("config.json: tessera.removed_layers is {}; expected a list of layers' numbers", tessera::quoted(removed->dump()));
  }
  const auto placement = extension.string("norm_placement", "");
  if (placement == "post") config.placement = NormPlacement::post;
  if (!placement.empty() && placement != "post")
    throw InputError("config.json: tessera.norm_placement is {}; expected post", tessera::quoted(placement));
  const auto* layers = extension.find("layers");
  if (layers == nullptr) return;
  if (!layers->is_array() || static_cast<int64_t>(layers->size()) != config.depth()) {
    throw InputError("config.json: tessera.layers has {} entries; expected one for each of {} layers", layers->size(), config.depth());
  }
  for (int64_t i = 0; i < config.depth(); ++i) {
    if (!layers->at(i).is_object())
      throw InputError("config.json: tessera.layers[{}] is {}; expected an object", i, tessera::quoted(layers->at(i).dump()));
    const ConfigReader layer(layers->at(i));
    config.layers[i].attention = layer.flag("attention", true);
    config.layers[i].ffn = layer.flag("ffn", true);
    config.layers[i].ffn_width = layer.integer("ffn_width", config.layers[i].ffn_width);
  }
}

static void check_config(const ModelConfig& c) {
  if (c.heads % c.kv_heads != 0)
    throw InputError("config.json: {} attention heads share {} key heads; expected a multiple", c.heads, c.kv_heads);
  if (c.rotates() && c.head_width % 2 != 0)
    throw InputError("config.json: heads are {} wide; rotary positions need an even width", c.head_width);
  const bool slides = std::any_of(c.layers.begin(), c.layers.end(), [](const auto& layer) { return layer.sliding; });
  if (slides && c.window < 1) throw InputError("config.json: layers slide and there is no sliding_window; expected a number of tokens");
  const auto widest =
      std::max_element(c.layers.begin(), c.layers.end(), [](const auto& a, const auto& b) { return a.ffn_width < b.ffn_width; });
  for (const int64_t rows : {c.vocab, c.heads * c.head_width, widest->ffn_width}) {
    if (rows > (int64_t{1} << 40) / c.width)
      throw InputError("config.json: a matrix of {} x {}; expected less than 2^40 numbers", rows, c.width);
  }
}

ModelConfig parse_config(const Json& json) {
  if (!json.is_object()) throw InputError("config.json holds {}; expected an object", tessera::quoted(json.dump()));
  const ConfigReader reader(json);
  if (!reader.has("model_type")) throw InputError("config.json has no model_type; is this a language model's folder?");
  const auto& architecture = architecture_named(reader.string("model_type", ""));
  ModelConfig config;
  config.architecture = architecture.name;
  config.raw = json;
  architecture.read(reader, config);
  config.init_std = reader.number("initializer_range", 0.02);
  read_extensions(reader, config);
  check_config(config);
  return config;
}

ModelConfig read_config(const std::filesystem::path& path) {
  return parse_config(parse_json(read_file(path, uint64_t{64} << 20), path.string()));
}

// Indices checked, as one flag a layer.
static std::vector<bool> removed_flags(const std::vector<int64_t>& removed, int64_t depth) {
  std::vector<bool> gone(depth, false);
  for (const int64_t index : removed) {
    if (index < 0 || index >= depth) throw InputError("layer {} of a model with {}; expected 0 to {}", index, depth, depth - 1);
    if (gone[index]) throw InputError("layer {} is removed twice; name each layer once", index);
    gone[index] = true;
  }
  if (static_cast<int64_t>(removed.size()) >= depth) throw InputError("{} layers removed of {}; one must stay", removed.size(), depth);
  return gone;
}

// Original numbers of the removed layers: those of an earlier removal are counted in.
static Json removed_originals(const Json& raw, const std::vector<bool>& gone) {
  std::vector<int64_t> before;
  const ConfigReader reader(raw);
  if (const auto* ours = reader.find("tessera")) {
    if (const auto* removed = ConfigReader(*ours).find("removed_layers")) before = removed->get<std::vector<int64_t>>();
  }
  auto all = before;
  int64_t original = 0;
  for (const bool now : gone) {
    while (std::find(before.begin(), before.end(), original) != before.end()) ++original;
    if (now) all.push_back(original);
    ++original;
  }
  std::sort(all.begin(), all.end());
  return all;
}

static Json kept_entries(const Json& list, const std::vector<bool>& gone) {
  Json kept = Json::array();
  for (size_t i = 0; i < gone.size(); ++i) {
    if (!gone[i]) kept.push_back(list[i]);
  }
  return kept;
}

ModelConfig without_layers(const ModelConfig& config, const std::vector<int64_t>& removed) {
  const auto gone = removed_flags(removed, config.depth());
  if (removed.empty()) return config;
  ModelConfig shorter = config;
  shorter.layers.clear();
  for (int64_t i = 0; i < config.depth(); ++i) {
    if (!gone[i]) shorter.layers.push_back(config.layers[i]);
  }
  auto& raw = shorter.raw;
  for (auto& [key, value] : raw.items()) {
    const bool about_tokens = key == "architectures" || key.ends_with("_token_id") || key.ends_with("_token_ids");
    if (value.is_array() && value.size() == gone.size() && !about_tokens) value = kept_entries(value, gone);
  }
  for (const char* key : {"num_hidden_layers", "n_layer"}) {
    if (raw.contains(key)) raw[key] = shorter.depth();
  }
  const auto slides = [](const LayerConfig& layer) { return layer.sliding; };
  const bool mixed =
      std::any_of(config.layers.begin(), config.layers.end(), slides) && !std::all_of(config.layers.begin(), config.layers.end(), slides);
  if (mixed) {  // a periodic rule would slip: the kept layers' kinds are listed one by one
    for (const char* key : {"sliding_window_pattern", "_sliding_window_pattern"}) raw.erase(key);
    raw["layer_types"] = Json::array();
    for (const auto& layer : shorter.layers) raw["layer_types"].push_back(layer.sliding ? "sliding_attention" : "full_attention");
  }
  raw["tessera"]["removed_layers"] = removed_originals(config.raw, gone);
  record_extensions(shorter);
  return shorter;
}

void set_window(ModelConfig& config, int64_t window) {
  const auto sliding = std::count_if(config.layers.begin(), config.layers.end(), [](const auto& layer) { return layer.sliding; });
  if (sliding > 0 && sliding < config.depth())
    throw InputError("{} of {} layers have a sliding window; only one window for all layers can be changed", sliding, config.depth());
  config.window = std::max<int64_t>(window, 0);
  config.local_rope = config.rope;
  for (auto& layer : config.layers) layer.sliding = window > 0;
}

void record_extensions(ModelConfig& config) {
  auto& raw = config.raw;
  for (const char* key : {"num_hidden_layers", "n_layer"}) {
    if (raw.contains(key)) raw[key] = config.depth();
  }
  if (config.placement == NormPlacement::post) raw["tessera"]["norm_placement"] = "post";
  // The width that config.json gives to all layers, as parse_config would read it.
  const ConfigReader reader(raw);
  const int64_t usual = reader.integer(std::string(architecture_named(config.architecture).ffn_width), 4 * config.width);
  const bool plain = std::all_of(config.layers.begin(), config.layers.end(),
                                 [&](const auto& layer) { return layer.attention && layer.ffn && layer.ffn_width == usual; });
  if (plain) {
    if (reader.has("tessera")) raw["tessera"].erase("layers");
    return;
  }
  auto& layers = raw["tessera"]["layers"] = Json::array();
  for (const auto& layer : config.layers)
    layers.push_back({{"attention", layer.attention}, {"ffn", layer.ffn}, {"ffn_width", layer.ffn_width}});
}

int64_t block_parameter_count(const ModelConfig& c, int64_t index) {
  if (index < 0 || index >= c.depth()) throw InputError("layer {} of a model with {}; expected 0 to {}", index, c.depth(), c.depth() - 1);
  const auto& layer = c.layers[index];
  const int64_t norm = c.width * (c.norm == nn::NormKind::layer ? 2 : 1) * (c.placement == NormPlacement::sandwich ? 2 : 1);
  int64_t count = 0;
  if (layer.attention) {
    const int64_t q = c.heads * c.head_width, kv = 2 * c.kv_heads * c.head_width;
    count += norm + c.width * (q + kv) + q * c.width + (c.qkv_bias ? q + kv : 0) + (c.out_bias ? c.width : 0) +
             (c.qk_norm ? 2 * c.head_width : 0);
  }
  if (layer.ffn) {
    const int64_t inner = c.gated ? 2 : 1;
    count += norm + (inner + 1) * c.width * layer.ffn_width + (c.ffn_bias ? inner * layer.ffn_width + c.width : 0);
  }
  return count;
}

int64_t parameter_count(const ModelConfig& c) {
  int64_t count = c.vocab * c.width * (c.tied_head ? 1 : 2) + (c.learned_positions ? c.max_positions * c.width : 0);
  if (c.placement != NormPlacement::post) count += c.width * (c.norm == nn::NormKind::layer ? 2 : 1);
  for (int64_t i = 0; i < c.depth(); ++i) count += block_parameter_count(c, i);
  return count;
}

int64_t kv_bytes_per_token(const ModelConfig& c, int64_t element) {
  const auto attends = std::count_if(c.layers.begin(), c.layers.end(), [](const auto& layer) { return layer.attention; });
  return 2 * attends * c.kv_heads * c.head_width * element;
}

}  // namespace tessera::lm
