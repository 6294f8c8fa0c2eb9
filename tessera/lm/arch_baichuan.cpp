#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

// Baichuan and Baichuan2: Llama with q, k and v in one matrix; Baichuan2's head uses its rows at length one (NormHead). The models of 13B
// have ALiBi instead of rotation. No key says so: their published config.json has model_max_length and no max_position_embeddings, and a
// GGUF has 40 blocks, as llama.cpp reads it.
namespace tessera::lm {

constexpr int64_t alibi_depth = 40;    // of a GGUF with ALiBi
constexpr int64_t alibi_width = 5120;  // of the 13B

static void read_baichuan(const ConfigReader& reader, ModelConfig& c) {
  read_llama_like(reader, c);
  c.alibi = !reader.has("max_position_embeddings") || c.width == alibi_width;
  if (c.alibi) c.max_positions = reader.integer("model_max_length", c.max_positions);
  c.unit_head = reader.has("z_loss_weight");  // a key of Baichuan2's own
}

static StoredAs baichuan_in_folder(const std::string& parameter) {
  StoredAs stored{.name = parameter};
  for (const auto& [name, part] : {std::pair{".q_proj.", 0}, {".k_proj.", 1}, {".v_proj.", 2}}) {
    const auto at = parameter.find(name);
    if (at == std::string::npos) continue;
    stored.name.replace(at, std::string_view(name).size(), ".W_pack.");
    stored.part = part;
    stored.parts = 3;
  }
  return stored;
}

static Json baichuan_from_gguf(const tensor::GgufFile& file) {
  auto config = llama_like_from_gguf(file, "baichuan");
  if (config["num_hidden_layers"] == alibi_depth) {
    config["model_max_length"] = config["max_position_embeddings"];
    for (const char* key : {"max_position_embeddings", "rope_theta", "rope_scaling"}) config.erase(key);
  }
  config["model_type"] = "baichuan";
  config["architectures"] = {"BaichuanForCausalLM"};
  config["hidden_act"] = "silu";
  return config;  // without z_loss_weight: a file's head is as it is used, of Baichuan2 with rows of length one, of Baichuan with any
}

static void baichuan_to_gguf(const ModelConfig& config, tensor::GgufWriter& out) { llama_like_to_gguf(config, out, "baichuan"); }

Architecture arch_baichuan() {
  auto entry = arch_llama();
  entry.name = "baichuan";
  entry.class_name = "BaichuanForCausalLM";
  entry.gguf = "baichuan";
  entry.read = read_baichuan;
  entry.from_gguf = baichuan_from_gguf;
  entry.to_gguf = baichuan_to_gguf;
  entry.in_folder = baichuan_in_folder;
  entry.gguf_alibi_depth = alibi_depth;
  return entry;
}

}  // namespace tessera::lm
