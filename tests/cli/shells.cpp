// Completion scripts and the manual, given to the shells and tools that read them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

using testing::HasSubstr;

bool installed(const std::string& tool) { return std::system(("command -v " + tool + " >/dev/null 2>&1").c_str()) == 0; }

// What bash offers after `words`, the last of which is being typed.
std::string offered(const std::string& script, const std::vector<std::string>& words) {
  const TemporaryFolder folder;
  std::string program = "source '" + script + "'\nCOMP_WORDS=(tessera";
  for (const auto& word : words) program += " '" + word + "'";
  program += ")\nCOMP_CWORD=" + std::to_string(words.size()) + "\n_tessera 2>/dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\" > '" +
             folder.path("out") + "'\n";
  const auto file = folder.write("complete.sh", program);
  EXPECT_EQ(WEXITSTATUS(std::system(("bash " + file).c_str())), 0);
  std::ifstream in(folder.path("out"));
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(Shells, BashCompletesCommandsOptionsAndValues) {
  const TemporaryFolder folder;
  const auto script = folder.write("tessera.bash", run_tessera({"completion", "bash"}).out);
  EXPECT_EQ(offered(script, {"toke"}), "tokenize\n");
  EXPECT_EQ(offered(script, {"eval", "perp"}), "perplexity\n");
  EXPECT_EQ(offered(script, {"generate", "--top"}), "--top-k\n--top-p\n");
  EXPECT_EQ(offered(script, {"eval", "choices", "--dev"}), "--device\n");
  EXPECT_EQ(offered(script, {"list", "--dtype", ""}), "auto\nfp32\nbf16\n");
  EXPECT_EQ(offered(script, {"generate", "smo"}), "smollm2\n");
  EXPECT_EQ(offered(script, {"completion", "z"}), "zsh\n");
}

TEST(Shells, ZshAndFishReadTheirScripts) {
  const TemporaryFolder folder;
  const auto zsh = folder.write("_tessera", run_tessera({"completion", "zsh"}).out);
  const auto fish = folder.write("tessera.fish", run_tessera({"completion", "fish"}).out);
  if (!installed("zsh") && !installed("fish")) GTEST_SKIP() << "neither zsh nor fish";
  const auto code_of = [](const std::string& command) { return WEXITSTATUS(std::system(command.c_str())); };
  EXPECT_TRUE(!installed("zsh") || code_of("zsh -n " + zsh) == 0);
  EXPECT_TRUE(!installed("fish") || code_of("fish --no-execute " + fish) == 0);
}

TEST(Shells, TheManualIsGoodRoff) {
  const auto page = run_tessera({"man"}).out;
  for (const char* part : {".TH TESSERA 1", ".SH EXIT STATUS", ".SS eval perplexity", "\\-\\-top\\-p"}) EXPECT_THAT(page, HasSubstr(part));
  if (!installed("groff")) GTEST_SKIP() << "no groff";
  const TemporaryFolder folder;
  const auto file = folder.write("tessera.1", page);
  const std::string complaints = folder.path("complaints");
  EXPECT_EQ(WEXITSTATUS(std::system(("groff -man -Tutf8 -wall " + file + " > /dev/null 2> " + complaints).c_str())), 0);
  std::ifstream in(complaints);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "");
}

}  // namespace
}  // namespace tessera::cli_tests
