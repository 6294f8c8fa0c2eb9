#pragma once
// The golden files that tests/parity wrote, the small Llama with random weights among them.

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tessera/lm/load.h"

namespace tessera::eval {

inline std::string golden_path(const std::string& name) { return std::string(TESSERA_SOURCE_DIR) + "/tests/parity/golden/" + name; }

inline nlohmann::json golden(const std::string& name) {
  std::ifstream in(golden_path(name));
  return nlohmann::json::parse(in);
}

inline lm::Transformer golden_model(lm::DtypeChoice dtype = lm::DtypeChoice::fp32) {
  lm::LoadOptions options;
  options.dtype = dtype;
  options.tokenizer = false;
  return lm::load_model(golden_path("eval_tiny_llama"), options).model;
}

}  // namespace tessera::eval
