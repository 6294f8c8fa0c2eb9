// Any bytes as a model's config.json or, when they begin like one, as a .gguf file whose metadata stand for it: a configuration or an
// InputError of one line. What is written back reads as the same model, with and without its first block.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tessera/base/error.h"
#include "tessera/base/json.h"
#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

namespace {

using namespace tessera;
using lm::ModelConfig;

void check(bool holds) {
  if (!holds) std::abort();
}

ModelConfig read_any(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!text.starts_with("GGUF")) return lm::parse_config(parse_json(text, "fuzz"));
  return lm::parse_config(lm::config_from_gguf(tensor::GgufFile::parse({std::as_bytes(std::span(data, size)), nullptr, "fuzz"})));
}

// `config` written as its config.json, or as metadata of a .gguf file, which takes no layers of different kinds.
void write_back(ModelConfig config) {
  lm::record_extensions(config);
  const auto again = lm::parse_config(parse_json(config.raw.dump(), "again"));
  check(again.architecture == config.architecture && again.layers == config.layers && again.placement == config.placement);
  check(again.rope == config.rope && again.local_rope == config.local_rope && again.window == config.window && again.alibi == config.alibi);
  check(lm::parameter_count(again) == lm::parameter_count(config) && lm::kv_bytes_per_token(again, 2) >= 0);
  tensor::GgufWriter writer;
  lm::architecture_named(config.architecture).to_gguf(config, writer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::optional<ModelConfig> config;
  try {
    config = read_any(data, size);
  } catch (const InputError& error) {
    check(std::string_view(error.what()).find('\n') == std::string_view::npos);
    return 0;
  }
  write_back(*config);  // what was read is whole: nothing is refused from here on
  if (config->depth() > 1) write_back(lm::without_layers(*config, {0}));
  return 0;
}
