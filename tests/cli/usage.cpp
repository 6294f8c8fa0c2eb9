// Wrong usage, word for word: what a person reads and a script sees.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

using testing::HasSubstr;

struct Wrong {
  std::vector<std::string> words;
  std::string line;
};

TEST(Usage, MistakesAreOneLineAndExitTwo) {
  const TemporaryFolder folder;
  const std::string recipe = folder.write("r.toml", "command = \"generate\"\nmodel = \"smollm2\"\ntokns = 3\n");
  const std::string broken = folder.write("b.toml", "command = \n");
  const std::string nameless = folder.write("n.toml", "tokens = 3\n");
  const std::string stranger = folder.write("s.toml", "command = \"generat\"\n");
  const std::string text = folder.write("t.txt", "some text");
  for (const auto& [words, line] : std::vector<Wrong>{
           {{"lst"}, "tessera: unknown command lst; did you mean list?\n"},
           {{"frobnicate"}, "tessera: unknown command frobnicate; tessera --help lists the commands\n"},
           {{"eval"}, "tessera: eval needs a command; give one of perplexity, choices\n"},
           {{"eval", "perplexty"}, "tessera: unknown command eval perplexty; did you mean eval perplexity?\n"},
           {{"list", "--jsn"}, "tessera: unknown option --jsn; did you mean --json?\n"},
           {{"list", "word"}, "tessera: one word too many: word; tessera list --help shows what it takes\n"},
           {{"--jsno"}, "tessera: --jsno without a command; tessera --help lists the commands\n"},
           {{"list", "--threads", "many"}, "tessera: --threads many: not a whole number; give 0 to 4096\n"},
           {{"list", "--dtype", "fp16"}, "tessera: --dtype fp16: unknown; did you mean fp32? (auto, fp32, bf16)\n"},
           {{"inspect"}, "tessera: MODEL is missing; give it: model folder, .gguf, .safetensors, .pt; or an installed model's name\n"},
           {{"inspect", "smollm"}, "tessera: MODEL smollm: no such file, folder or installed model; did you mean smollm2?\n"},
           {{"generate", text, "-n", "3"},
            "tessera: no prompt; give --prompt TEXT, --file FILE (- for standard input) or --batch-file FILE\n"},
           {{"generate", text, "-p", "x", "-f", text}, "tessera: --prompt, --file and --batch-file exclude each other; give one of them\n"},
           {{"generate", text, "-p", "x", "--logit-bias", "x=1"},
            "tessera: --logit-bias x=1: not ID=BIAS; give a token id and a number such as 42=-5\n"},
           {{"eval", "perplexity", text, folder.path("none.txt")},
            "tessera: FILE " + folder.path("none.txt") + ": no such file; check the path\n"},
           {{"reproduce"}, "tessera: METHOD is missing; give a method's name or --all; tessera list names them\n"},
           {{"reproduce", "--quick", "--full", "--all"}, "tessera: --quick and --full exclude each other; give one of them\n"},
           {{"reproduce", "shortgbt"}, "tessera: METHOD shortgbt: no such method; "},
           {{"bench", "no-such-benchmark-at-all"}, "tessera: NAME no-such-benchmark-at-all: no such benchmark; "},
           {{"convert", text, "/nowhere/out.gguf"}, "tessera: OUT /nowhere/out.gguf: there is no folder /nowhere; make it first\n"},
           {{"convert", text, text}, "tessera: OUT " + text + ": exists already; give another path, or --force to overwrite\n"},
           {{"run"}, "tessera: RECIPE is missing; give it: tessera run RECIPE\n"},
           {{"run", folder.path("none.toml")}, "tessera: " + folder.path("none.toml")},
           {{"run", recipe}, "tessera: " + recipe + ":3:1: unknown key tokns; did you mean tokens?\n"},
           {{"run", broken}, "tessera: " + broken + ":1:"},
           {{"run", nameless}, "tessera: " + nameless + ": it names no command; add a line such as command = \"shortgpt prune\"\n"},
           {{"run", stranger}, "tessera: " + stranger + ":1:11: unknown command generat; did you mean generate?\n"},
           {{"list", "--recipe", recipe},
            "tessera: " + recipe + ":1:11: this recipe is for generate, not for list; run it with tessera run " + recipe + "\n"},
           {{"list", "--set", "thread=1"}, "tessera: --set thread=1: unknown key thread; did you mean --threads?\n"},
           {{"completion", "powershell"}, "tessera: SHELL powershell: unknown; give one of bash, zsh, fish\n"}}) {
    const auto ran = run_tessera(words);
    SCOPED_TRACE(ran.err);
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
    if (line.ends_with('\n')) {
      EXPECT_EQ(ran.err, line);
    } else {
      EXPECT_THAT(ran.err, testing::StartsWith(line));
    }
  }
}

TEST(Usage, WithJsonAMistakeIsADocumentToo) {
  const auto ran = run_tessera({"list", "--threads", "many", "--json"});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.err, "tessera: --threads many: not a whole number; give 0 to 4096\n");
  EXPECT_EQ(ran.out, "{\"error\":{\"message\":\"--threads many: not a whole number\",\"hint\":\"give 0 to 4096\",\"kind\":\"input\"}}\n");
  EXPECT_EQ(run_tessera({"--json", "lst"}).json()["error"]["hint"], "did you mean list?");
}

TEST(Usage, EnvironmentAndRecipeAreCheckedToo) {
  const auto ran = run_tessera({"list"}, {.variables = {{"TESSERA_THREADS", "two"}}});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.err, "tessera: TESSERA_THREADS=two: not a whole number; give 0 to 4096\n");
}

TEST(Usage, HelpOfEveryCommandIsNarrowWithThreeExamples) {
  const auto whole = run_tessera({"--help"});
  EXPECT_EQ(whole.exit_code, 0);
  EXPECT_EQ(whole.out, run_tessera({}).out);
  EXPECT_EQ(whole.out, run_tessera({"help"}).out);
  const auto schema = run_tessera({"recipes", "schema", "--json"}).json();
  ASSERT_TRUE(schema.contains("oneOf"));
  for (const auto& one : schema["oneOf"]) {
    const std::string command = one["properties"]["command"]["const"];
    SCOPED_TRACE(command);
    std::vector<std::string> words = {command.substr(0, command.find(' '))};
    if (command.find(' ') != std::string::npos) words.push_back(command.substr(command.find(' ') + 1));
    words.emplace_back("--help");
    const auto ran = run_tessera(words);
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_EQ(ran.err, "");
    EXPECT_THAT(ran.out, HasSubstr("\nusage: tessera " + command));
    EXPECT_THAT(ran.out, HasSubstr("--device cpu|cuda"));
    const auto begin = ran.out.find("\nexamples:\n"), end = ran.out.find("\n\n", begin + 1);
    ASSERT_NE(begin, std::string::npos);
    const std::string examples = ran.out.substr(begin, end - begin);
    EXPECT_GE(std::count(examples.begin(), examples.end(), '\n'), 7) << "three examples of two lines each";
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST(Usage, OptionsMayStandBeforeTheCommand) {
  EXPECT_EQ(run_tessera({"--json", "--threads", "1", "version"}).json(), run_tessera({"version", "--json"}).json());
  EXPECT_EQ(run_tessera({"--version"}).out, run_tessera({"version"}).out);
}

TEST(Usage, AFullDiskIsNoticed) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const std::string command = std::string("'") + TESSERA_PROGRAM + "' list > /dev/full 2>/dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
}

}  // namespace
}  // namespace tessera::cli_tests
