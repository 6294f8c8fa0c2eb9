#include <cmath>

#include "tessera/base/error.h"
#include "tessera/lm/architecture.h"

namespace tessera::lm {

const Json* ConfigReader::find(const std::string& key) const {
  const auto at = json_.find(key);
  return at == json_.end() || at->is_null() ? nullptr : &*at;
}

bool ConfigReader::has(const std::string& key) const { return find(key) != nullptr; }

int64_t ConfigReader::integer(const std::string& key, std::optional<int64_t> fallback, int64_t least) const {
  const auto* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr) throw InputError("config.json has no {}; the model's folder is incomplete", key);
  constexpr int64_t most = int64_t{1} << 31;  // no size of a model is larger, and products of two stay below 2^63
  if (!value->is_number_integer() || value->get<int64_t>() < least || value->get<int64_t>() > most) {
    throw InputError("config.json: {} is {}; expected a whole number from {} to {}", key, tessera::quoted(value->dump()), least, most);
  }
  return value->get<int64_t>();
}

double ConfigReader::number(const std::string& key, std::optional<double> fallback) const {
  const auto* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr) throw InputError("config.json has no {}; the model's folder is incomplete", key);
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    throw InputError("config.json: {} is {}; expected a number", key, tessera::quoted(value->dump()));
  }
  return value->get<double>();
}

bool ConfigReader::flag(const std::string& key, bool fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) throw InputError("config.json: {} is {}; expected true or false", key, tessera::quoted(value->dump()));
  return value->get<bool>();
}

std::string ConfigReader::string(const std::string& key, const std::string& fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) throw InputError("config.json: {} is {}; expected a text", key, tessera::quoted(value->dump()));
  return value->get<std::string>();
}

void ConfigReader::only(const std::string& key, const Json& only) const {
  const auto* value = find(key);
  if (value != nullptr && *value != only) {
    throw InputError("config.json: {} is {}, which is not supported; expected {}", key, tessera::quoted(value->dump()), only.dump());
  }
}

nn::Activation activation_named(const std::string& name) {
  if (name == "silu" || name == "swish") return nn::Activation::silu;
  if (name == "gelu") return nn::Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return nn::Activation::gelu_tanh;
  throw InputError("config.json: the activation is {}; expected silu, gelu, gelu_new or gelu_pytorch_tanh", tessera::quoted(name));
}

nn::RopeOptions read_rope(const ConfigReader& reader, double default_base, const std::string& kind) {
  nn::RopeOptions rope{.base = reader.number("rope_theta", default_base)};
  const Json* settings = reader.find("rope_parameters");
  if (settings != nullptr && settings->is_object() && !kind.empty() && settings->contains(kind)) settings = &settings->at(kind);
  if (settings == nullptr) settings = reader.find("rope_scaling");
  if (settings == nullptr) return rope;
  if (!settings->is_object())
    throw InputError("config.json: the rope settings are {}; expected an object", tessera::quoted(settings->dump()));
  const ConfigReader scaling(*settings);
  rope.base = scaling.number("rope_theta", rope.base);
  scaling.only("partial_rotary_factor", 1.0);
  const auto type = scaling.string("rope_type", scaling.string("type", "default"));
  if (type == "linear" || type == "llama3") {
    rope.scaling = type == "linear" ? nn::RopeScaling::linear : nn::RopeScaling::llama3;
    rope.factor = scaling.number("factor");
    if (rope.factor < 1.0) throw InputError("config.json: the rope factor is {}; expected 1 or more", rope.factor);
  } else if (type != "default") {
    throw InputError("config.json: rope_type {} is not supported; expected default, linear or llama3", tessera::quoted(type));
  }
  if (type == "llama3") {
    rope.low_freq_factor = scaling.number("low_freq_factor");
    rope.high_freq_factor = scaling.number("high_freq_factor");
    rope.original_positions = scaling.integer("original_max_position_embeddings");
    if (rope.low_freq_factor <= 0.0 || rope.high_freq_factor <= rope.low_freq_factor) {
      throw InputError("config.json: low_freq_factor {} and high_freq_factor {}; expected 0 < low < high", rope.low_freq_factor,
                       rope.high_freq_factor);
    }
  }
  return rope;
}

std::vector<LayerConfig> read_layers(const ConfigReader& reader, int64_t depth, int64_t ffn_width,
                                     const std::function<bool(int64_t)>& slides) {
  if (depth > 100'000) throw InputError("config.json: {} layers; expected at most 100000", depth);
  std::vector<LayerConfig> layers(depth);
  const auto* types = reader.find("layer_types");
  if (types != nullptr && (!types->is_array() || static_cast<int64_t>(types->size()) != depth)) {
    throw InputError("config.json: layer_types has {} entries for {} layers; expected one a layer", types->is_array() ? types->size() : 0,
                     depth);
  }
  for (int64_t i = 0; i < depth; ++i) {
    layers[i].ffn_width = ffn_width;
    layers[i].sliding = slides(i);
    if (types == nullptr) continue;
    const auto& type = types->at(i);
    if (type != "full_attention" && type != "sliding_attention") {
      throw InputError("config.json: layer_types[{}] is {}; expected full_attention or sliding_attention", i, tessera::quoted(type.dump()));
    }
    layers[i].sliding = type == "sliding_attention";
  }
  return layers;
}

}  // namespace tessera::lm
