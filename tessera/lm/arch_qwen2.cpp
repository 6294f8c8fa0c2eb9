#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

// Qwen2 and Qwen2.5: Llama with biases on q, k and v, whose upper layers may slide.
namespace tessera::lm {

static void read_qwen2(const ConfigReader& reader, ModelConfig& c) {
  read_llama_like(reader, c);
  c.qkv_bias = true;
  c.out_bias = false;
  if (!reader.flag("use_sliding_window", false) || !reader.has("sliding_window")) {
    for (auto& layer : c.layers) layer.sliding = false;
    return;
  }
  c.window = reader.integer("sliding_window");
  const int64_t first = reader.integer("max_window_layers", 28, 0);
  c.layers = read_layers(reader, c.depth(), c.layers.front().ffn_width, [&](int64_t i) { return i >= first; });
}

static Json qwen2_from_gguf(const tensor::GgufFile& file) {
  auto config = llama_like_from_gguf(file, "qwen2");
  config["model_type"] = "qwen2";
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  return config;
}

static void qwen2_to_gguf(const ModelConfig& config, tensor::GgufWriter& out) { llama_like_to_gguf(config, out, "qwen2"); }

Architecture arch_qwen2() {
  auto entry = arch_llama();
  entry.name = "qwen2";
  entry.class_name = "Qwen2ForCausalLM";
  entry.gguf = "qwen2";
  entry.gguf_interleaved_qk = false;
  entry.read = read_qwen2;
  entry.from_gguf = qwen2_from_gguf;
  entry.to_gguf = qwen2_to_gguf;
  return entry;
}

}  // namespace tessera::lm
