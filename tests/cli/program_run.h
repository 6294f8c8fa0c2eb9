#pragma once
// Runs the built program as a person would.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tessera::cli_tests {

struct Ran {
  int exit_code = -1;  // 128 + signal when it was killed
  std::string out, err;
  nlohmann::ordered_json json() const;  // of `out`; discarded when it is none
};

struct RunOptions {
  std::string input = {};                                           // standard input
  std::vector<std::pair<std::string, std::string>> variables = {};  // environment beside the test's own
  std::filesystem::path folder = {};                                // where it runs; empty: here
};
Ran run_tessera(const std::vector<std::string>& words, const RunOptions& options = {});

// A folder that is removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path(const std::string& name = "") const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const;  // returns the path

 private:
  std::filesystem::path folder_;
};

// A model of 19,000 random weights that tests/parity made, with a tokenizer of single characters (no line end); empty when it is not there.
std::filesystem::path small_model();

}  // namespace tessera::cli_tests
