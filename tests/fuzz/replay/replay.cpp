// Every saved input of the fuzz targets, the once harmful ones among them, through its target.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tessera/base/files.h"

#define FUZZ_TARGET(name) extern "C" int fuzz_##name(const uint8_t* data, size_t size);
#include "fuzz_targets.inc"
#undef FUZZ_TARGET

namespace {

// A target aborts the program, or lets an exception escape, when an input does harm: the last path shown is that input's.
void replay(const std::string& target, int (*run)(const uint8_t*, size_t)) {
  std::vector<std::filesystem::path> inputs;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/fuzz/corpus" / target))
    inputs.push_back(entry.path());
  std::sort(inputs.begin(), inputs.end());
  EXPECT_GE(inputs.size(), 5U) << "a target comes with a saved corpus";
  for (const auto& input : inputs) {
    std::fprintf(stderr, "%s\n", input.c_str());
    const std::string bytes = tessera::read_file(input);
    EXPECT_EQ(run(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), 0) << input;
  }
}

#define FUZZ_TARGET(name) \
  TEST(FuzzCorpus, name) { replay(#name, fuzz_##name); }
#include "fuzz_targets.inc"

}  // namespace
