#include <limits>

#include "tessera/lm/architecture.h"

// Mistral: Llama whose every layer may slide.
namespace tessera::lm {

static void read_mistral(const ConfigReader& reader, ModelConfig& c) {
  read_llama_like(reader, c);
  if (!reader.has("sliding_window")) return;
  set_window(c, reader.integer("sliding_window", std::nullopt, std::numeric_limits<int64_t>::min()));
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
