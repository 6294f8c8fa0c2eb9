#pragma once
// What the tests of tensor files share: folders that disappear, bytes in memory, errors with their text, golden files.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/tensor/bytes.h"
#include "tests/scratch_folder.h"

namespace tensor_test {

inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/parity/golden/tensor" / name;
}

using tessera::ScratchFolder;

// A copy on the heap of exactly this size, so that the address sanitizer sees a read past its end.
inline tessera::tensor::Bytes in_memory(const std::string& text) {
  std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::memcpy(copy.get(), text.data(), text.size());
  return {{copy.get(), text.size()}, copy, "test"};
}

// The message of the InputError that `action` throws; "" when it throws none.
inline std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const tessera::InputError& error) {
    return error.what();
  }
  return "";
}

inline std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

}  // namespace tensor_test
