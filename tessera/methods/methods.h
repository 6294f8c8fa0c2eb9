#pragma once
// All methods of Tessera.

#include <vector>

#include "tessera/run/method.h"

namespace tessera {

// In the order of methods.cpp's list. Made on the first call.
const std::vector<run::Method>& methods();
// The method of that slug; nullptr when there is none.
const run::Method* find_method(const std::string& slug);

}  // namespace tessera
