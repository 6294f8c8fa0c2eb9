#include "tessera/lm/architecture.h"

// Mistral: Llama whose every layer may slide.
namespace tessera::lm {

static void read_mistral(const ConfigReader& reader, ModelConfig& c) {
  read_llama_like(reader, c);
  if (!reader.has("sliding_window")) return;
  c.window = reader.integer("sliding_window");
  for (auto& layer : c.layers) layer.sliding = true;
}

Architecture arch_mistral() {
  auto entry = arch_llama();  // the same names everywhere, GGUF's included
  entry.name = "mistral";
  entry.class_name = "MistralForCausalLM";
  entry.read = read_mistral;
  entry.from_gguf = nullptr;
  return entry;
}

}  // namespace tessera::lm
