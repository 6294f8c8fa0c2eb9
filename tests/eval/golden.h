#pragma once
// The golden files that tests/parity wrote.

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace tessera::eval {

inline std::string golden_path(const std::string& name) { return std::string(TESSERA_SOURCE_DIR) + "/tests/parity/golden/" + name; }

inline nlohmann::json golden(const std::string& name) {
  std::ifstream in(golden_path(name));
  return nlohmann::json::parse(in);
}

}  // namespace tessera::eval
