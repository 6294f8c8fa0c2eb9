// Every command with the mistakes that people make: a missing or empty file, a file of the wrong kind, an option that does not exist, a
// folder that cannot be written, a full disk. One line on standard error, the right exit code, nothing on standard output.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

void expect_one_line(const Ran& ran, int exit_code) {
  SCOPED_TRACE(ran.err);
  EXPECT_EQ(ran.exit_code, exit_code);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
  EXPECT_THAT(ran.err, testing::StartsWith("tessera: "));
  EXPECT_THAT(ran.err, testing::HasSubstr("; ")) << "what is wrong; how to mend it";
}

Words all_commands() {
  Words commands;
  const auto schema = run_tessera({"recipes", "schema", "--json"}).json();
  for (const auto& one : schema["oneOf"]) commands.push_back(one["properties"]["command"]["const"]);
  return commands;
}

Words words_of(const std::string& command) {
  const auto blank = command.find(' ');
  return blank == std::string::npos ? Words{command} : Words{command.substr(0, blank), command.substr(blank + 1)};
}

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// A command that reads a file, with IN where the file stands; whatever else it needs is good.
struct Reads {
  Words words;
  bool any_bytes = false;  // the file is a text, which may hold any bytes
};

std::vector<Reads> commands_that_read(const std::string& model) {
  return {{{"inspect", "IN"}},
          {{"generate", "IN", "-p", "x"}},
          {{"generate", model, "-f", "IN"}, true},
          {{"generate", model, "--batch-file", "IN"}, true},
          {{"tokenize", "IN", "t.txt"}},
          {{"chat", "IN"}},
          {{"eval", "perplexity", "IN", "t.txt"}},
          {{"eval", "perplexity", model, "IN"}, true},
          {{"eval", "choices", "IN", "q.jsonl"}},
          {{"eval", "choices", model, "IN"}},
          {{"convert", "IN", "out.gguf"}},
          {{"run", "IN"}},
          {{"train", "--data", "IN", "--out", "new"}},
          {{"train", "--resume", "IN"}},
          {{"shortgpt", "score", "IN", "--calib", "t.txt"}},
          {{"shortgpt", "score", model, "--calib", "IN"}, true},
          {{"shortgpt", "prune", model, "--calib", "IN", "--layers", "1", "--out", "small"}, true}};
}

Words with(Words words, const std::string& file) {
  std::replace(words.begin(), words.end(), std::string("IN"), file);
  return words;
}

std::string shown(const Words& words) {
  std::string line;
  for (const auto& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

class Mistakes : public testing::Test {
 protected:
  void SetUp() override {
    if (small_model().empty()) GTEST_SKIP() << "no tests/parity/golden/eval_tiny_llama";
    folder.write("t.txt", "some text for a model to read");
    folder.write("q.jsonl", "{\"question\":\"a\",\"choices\":[\"b\",\"c\"],\"answer\":0}\n");
  }
  Ran run(const Words& words) const { return run_tessera(words, {.folder = folder.path()}); }
  size_t files() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::recursive_directory_iterator(folder.path())) ++count;
    return count;
  }
  const TemporaryFolder folder;
};

TEST_F(Mistakes, AnOptionThatDoesNotExistIsAnsweredWithTheNearest) {
  folder.write("r.toml", "command = \"list\"\n");
  for (const auto& command : all_commands()) {
    SCOPED_TRACE(command);
    const auto ran = run(words_of(command) + (command == "run" ? Words{"r.toml"} : Words{}) + Words{"--thread", "1"});
    expect_one_line(ran, 2);
    EXPECT_EQ(ran.err, "tessera: unknown option --thread; did you mean --threads?\n");
  }
}

TEST_F(Mistakes, AMissingAnEmptyAndAWrongFileAreNamed) {
  folder.write("empty", "");
  folder.write("wrong.png", "\x89PNG\r\n\x1a\n" + std::string(64, '\xee'));
  const size_t before = files();
  for (const auto& [words, any_bytes] : commands_that_read(small_model().string())) {
    for (const std::string file : {"missing", "empty", "wrong.png"}) {
      if (any_bytes && file == "wrong.png") continue;
      const auto given = with(words, file);
      SCOPED_TRACE(shown(given));
      const auto ran = run(given);
      expect_one_line(ran, 2);
      EXPECT_THAT(ran.err, testing::HasSubstr(file));
      EXPECT_EQ(files(), before) << "something was written";
    }
  }
}

TEST_F(Mistakes, TrainingOnFilesWithoutTextWritesNothing) {
  folder.write("empty.txt", "");
  folder.write("empty.jsonl", "");
  folder.write("nothing/here.txt", "");
  const size_t before = files();
  for (const char* data : {"empty.txt", "empty.jsonl", "nothing"}) {
    SCOPED_TRACE(data);
    const auto ran = run({"train", "--data", data, "--out", "new"});
    expect_one_line(ran, 2);
    EXPECT_THAT(ran.err, testing::HasSubstr(data));
    EXPECT_EQ(files(), before) << "something was written";
  }
}

TEST_F(Mistakes, AFolderThatCannotBeReadOrWrittenIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read and write everything";
  fs::create_directories(folder.path("shut"));
  fs::permissions(folder.path("shut"), fs::perms::none);
  const auto model = small_model().string();
  expect_one_line(run({"train", "--data", "shut", "--out", "new"}), 2);
  for (const auto& words : std::vector<Words>{
           {"convert", model, "shut/out.gguf"}, {"list", "--out", "shut/list.json"}, {"train", "--data", "t.txt", "--out", "shut/run"}}) {
    SCOPED_TRACE(shown(words));
    const auto ran = run(words);
    EXPECT_TRUE(ran.exit_code == 1 || ran.exit_code == 2);
    expect_one_line(ran, ran.exit_code);
  }
  fs::permissions(folder.path("shut"), fs::perms::all);
}

TEST_F(Mistakes, AFullDiskIsFailedWorkInOneLine) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const auto model = small_model().string();
  for (const std::string& command :
       {std::string("list"), std::string("doctor"), std::string("version --json"), "inspect " + model, "tokenize " + model + " t.txt",
        "generate " + model + " -p x -n 3", "eval perplexity " + model + " t.txt --json", std::string("man"),
        std::string("completion bash"), std::string("recipes ls"), std::string("--help")}) {
    SCOPED_TRACE(command);
    const std::string line =
        "cd '" + folder.path() + "' && '" + std::string(TESSERA_PROGRAM) + "' " + command + " > /dev/full 2> err.txt </dev/null";
    EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 1);
  }
}

}  // namespace
}  // namespace tessera::cli_tests
