#pragma once
// The line of the InputError that `work` throws.

#include <functional>
#include <string>

#include "tessera/base/error.h"

namespace tessera {

inline std::string input_error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no InputError";
}

}  // namespace tessera
