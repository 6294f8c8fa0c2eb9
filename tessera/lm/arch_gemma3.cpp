#include <cmath>

#include "tessera/base/error.h"
#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

// Gemma 3, text only: norms around each branch with gains stored as w - 1, norms of q and k, five sliding layers to one full.
namespace tessera::lm {

static void read_gemma3(const ConfigReader& reader, ModelConfig& c) {
  reader.only("attn_logit_softcapping", nullptr);
  reader.only("final_logit_softcapping", nullptr);
  reader.only("use_bidirectional_attention", false);
  read_llama_like(reader, c);
  c.head_width = reader.integer("head_dim", 256);
  c.placement = NormPlacement::sandwich;
  c.norm_offset = 1.0;
  c.qk_norm = true;
  c.attention_scale = 1.0 / std::sqrt(reader.number("query_pre_attn_scalar", 256.0));
  c.activation = activation_named(reader.string("hidden_activation", "gelu_pytorch_tanh"));
  c.rope = read_rope(reader, 1e6, "full_attention");
  c.local_rope = {.base = reader.number("rope_local_base_freq", 1e4)};
  const auto* rope = reader.find("rope_parameters");
  if (rope != nullptr && rope->is_object() && rope->contains("sliding_attention"))
    c.local_rope = read_rope(reader, 1e4, "sliding_attention");
  c.embedding_scale = std::sqrt(static_cast<double>(c.width));
  c.tied_head = reader.flag("tie_word_embeddings", true);
  c.window = reader.integer("sliding_window", 4096);
  const int64_t period = reader.integer("sliding_window_pattern", reader.integer("_sliding_window_pattern", 6));
  c.layers = read_layers(reader, c.depth(), c.layers.front().ffn_width, [&](int64_t i) { return (i + 1) % period != 0; });
}

static Json gemma3_from_gguf(const tensor::GgufFile& file) {
  auto config = llama_like_from_gguf(file, "gemma3");
  config["model_type"] = "gemma3_text";
  config["architectures"] = {"Gemma3ForCausalLM"};
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = file.i64("gemma3.attention.sliding_window");
  config["rope_local_base_freq"] = file.has("gemma3.rope.freq_base_swa") ? file.f64("gemma3.rope.freq_base_swa") : 10000.0;
  if (!file.has("gemma3.rope.freq_base")) config["rope_theta"] = 1e6;
  // The file does not hold it: it is the head width but for the 27B model, where it is width / heads.
  const int64_t width = config["hidden_size"], heads = config["num_attention_heads"];
  config["query_pre_attn_scalar"] = config["num_hidden_layers"] == 62 ? Json(width / heads) : config["head_dim"];
  auto types = Json::array();
  const auto depth = config["num_hidden_layers"].get<int64_t>();
  if (depth > 100'000) throw InputError("{}: {} blocks; expected at most 100000", file.bytes().name, depth);
  for (int64_t i = 0; i < depth; ++i) {
    types.push_back((i + 1) % 6 != 0 ? "sliding_attention" : "full_attention");
  }
  config["layer_types"] = std::move(types);
  return config;
}

static void gemma3_to_gguf(const ModelConfig& config, tensor::GgufWriter& out) {
  llama_like_to_gguf(config, out, "gemma3");
  if (config.local_rope.base != 10000.0) out.set_f32("gemma3.rope.freq_base_swa", static_cast<float>(config.local_rope.base));
}

Architecture arch_gemma3() {
  auto entry = arch_llama();
  entry.name = "gemma3_text";
  entry.class_name = "Gemma3ForCausalLM";
  entry.gguf = "gemma3";
  entry.gguf_interleaved_qk = false;
  entry.read = read_gemma3;
  entry.from_gguf = gemma3_from_gguf;
  entry.to_gguf = gemma3_to_gguf;
  return entry;
}

}  // namespace tessera::lm
