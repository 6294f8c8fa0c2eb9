#include "tests/cli/program_run.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace tessera::cli_tests {

namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void point(int standard, const fs::path& file, int flags) {
  const int opened = open(file.c_str(), flags, 0600);
  dup2(opened, standard);
  close(opened);
}

}  // namespace

nlohmann::ordered_json Ran::json() const { return nlohmann::ordered_json::parse(out, nullptr, false); }

TemporaryFolder::TemporaryFolder() {
  static int number = 0;
  folder_ = fs::temp_directory_path() / ("tessera_cli_" + std::to_string(getpid()) + "_" + std::to_string(number++));
  fs::create_directories(folder_);
}
TemporaryFolder::~TemporaryFolder() { fs::remove_all(folder_); }

std::string TemporaryFolder::write(const std::string& name, const std::string& text) const {
  fs::create_directories((folder_ / name).parent_path());
  std::ofstream(folder_ / name, std::ios::binary) << text;
  return path(name);
}

Ran run_tessera(const std::vector<std::string>& words, const RunOptions& options) {
  const TemporaryFolder work;
  work.write("in", options.input);
  const pid_t child = fork();
  if (child == 0) {
    point(STDIN_FILENO, work.path("in"), O_RDONLY);
    point(STDOUT_FILENO, work.path("out"), O_WRONLY | O_CREAT);
    point(STDERR_FILENO, work.path("err"), O_WRONLY | O_CREAT);
    for (const auto& [name, value] : options.variables) setenv(name.c_str(), value.c_str(), 1);
    if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) _exit(126);
    std::vector<char*> arguments = {const_cast<char*>(TESSERA_PROGRAM)};
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execv(TESSERA_PROGRAM, arguments.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(work.path("out")), slurp(work.path("err"))};
}

fs::path small_model() {
  static const TemporaryFolder folder;
  const fs::path golden = fs::path(TESSERA_SOURCE_DIR) / "tests" / "parity" / "golden" / "eval_tiny_llama";
  std::error_code error;
  if (!fs::exists(golden / "model.safetensors", error)) return {};
  const fs::path model = folder.path("model");
  if (fs::exists(model / "tokenizer.json", error)) return model;
  fs::create_directories(model);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy_file(golden / name, model / name);
  nlohmann::ordered_json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int id = 3; id < 97; ++id) vocabulary[std::string(1, static_cast<char>(' ' + id - 3))] = id;
  const nlohmann::ordered_json special = {
      {"id", 2},         {"content", "</s>"}, {"special", true}, {"normalized", false}, {"single_word", false},
      {"lstrip", false}, {"rstrip", false}};
  const nlohmann::ordered_json tokenizer = {
      {"version", "1.0"},
      {"added_tokens", {special}},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder", {{"type", "Fuse"}}},
      {"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"vocab", vocabulary}, {"merges", nlohmann::ordered_json::array()}}}};
  std::ofstream(model / "tokenizer.json") << tokenizer.dump();
  return model;
}

}  // namespace tessera::cli_tests
