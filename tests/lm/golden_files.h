#pragma once
// The tiny models of tests/parity/lm.py, on disk.

#include <filesystem>
#include <string>
#include <vector>

namespace tessera::lm {

inline std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/parity/golden" / ("lm_" + name);
}

inline const std::vector<std::string>& golden_names() {
  static const std::vector<std::string> names{
      "llama", "llama_bias_wide_heads", "llama3_rope",       "llama_linear_rope", "mistral", "qwen2", "gemma3",
      "gpt2",  "gemma3_layer_types",    "qwen2_layer_types", "baichuan_alibi"};
  return names;
}

}  // namespace tessera::lm
