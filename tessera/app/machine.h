#pragma once
// This machine and what LibTorch may use of it.

#include <nlohmann/json_fwd.hpp>

#include "tessera/run/command.h"

namespace tessera::app {

// Sets LibTorch's threads (0: what affinity and control group allow) and seed. Throws InputError for --device cuda without one.
void apply_settings(const run::Settings& settings);
// The document of `doctor --json`.
nlohmann::ordered_json machine_document();

}  // namespace tessera::app
