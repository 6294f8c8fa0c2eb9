#include "tessera/train/model_shape.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"

namespace tessera::train {

namespace fs = std::filesystem;

const std::vector<ModelShape>& model_shapes() {
  static const std::vector<ModelShape> shapes{
      {"tiny", "0.9M parameters and the vocabulary: minutes on any machine", 128, 4, 4, 2, 352},
      {"small", "6.4M and the vocabulary", 256, 8, 8, 8, 704},
      {"medium", "25M and the vocabulary", 512, 8, 8, 8, 1376},
      {"base", "85M and the vocabulary", 768, 12, 12, 12, 2048},
  };
  return shapes;
}

static lm::Json shape_json(const ModelShape& shape, int64_t positions) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", shape.width},
          {"intermediate_size", shape.ffn},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"num_key_value_heads", shape.kv_heads},
          {"hidden_act", "silu"},
          {"max_position_embeddings", positions},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"initializer_range", 0.02},
          {"tie_word_embeddings", true}};
}

lm::ModelConfig fresh_model_config(const std::string& given, const FreshOptions& options) {
  lm::Json json;
  const auto& shapes = model_shapes();
  const auto named = std::find_if(shapes.begin(), shapes.end(), [&](const ModelShape& shape) { return shape.name == given; });
  if (fs::exists(given)) {
    const fs::path file = fs::is_directory(given) ? fs::path(given) / "config.json" : fs::path(given);
    json = try_parse_json(read_file(file, 1 << 24));
    if (!json.is_object()) throw InputError("{} is no JSON object; give a model's config.json", tessera::quoted(file.string()));
  } else if (named != shapes.end()) {
    json = shape_json(*named, options.positions);
  } else {
    std::string names;
    for (const auto& shape : shapes) names += (names.empty() ? "" : ", ") + shape.name;
    throw InputError("--model {}: no such file, and no shape of that name; give {}, a config.json or a model", tessera::quoted(given),
                     names);
  }
  json["vocab_size"] = options.vocab;
  json.erase("bos_token_id");
  if (options.eos) {
    json["bos_token_id"] = *options.eos;
    json["eos_token_id"] = *options.eos;
  }
  return lm::fresh_config(json);
}

}  // namespace tessera::train
