#include "tessera/run/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tessera/base/error.h"
#include "tessera/run/command.h"
#include "tessera/run/options_help.h"

namespace tessera::run {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

enum class Metric { influence, perplexity };

struct PruneOptions {
  std::string model_text;
  std::vector<fs::path> calib;
  int64_t layers = 3;
  std::optional<double> ratio;
  Metric metric = Metric::influence;
  bool sublayers = false, cache = true;
  std::vector<int64_t> remove;
  std::vector<std::string> stop;
  fs::path out;
};

OptionTable<PruneOptions> prune_options() {
  return OptionTable<PruneOptions>()
      .text("MODEL", &PruneOptions::model_text, "model to shorten")
      .input("calib", &PruneOptions::calib, "text to calibrate on")
      .number("layers", &PruneOptions::layers, Range{1, 1000}, "how many layers to remove")
      .short_name('n')
      .unit("layers")
      .number("ratio", &PruneOptions::ratio, Range{0, 0.9}, "share of parameters to remove")
      .choice("metric", &PruneOptions::metric, {{"bi", Metric::influence, "1 - cosine"}, {"ppl", Metric::perplexity, "exact, slower"}},
              "what ranks")
      .flag("sublayers", &PruneOptions::sublayers, "branches too")
      .short_name('S')
      .flag("cache", &PruneOptions::cache, "keep hidden states")
      .list("remove", &PruneOptions::remove, "these layers")
      .text("stop", &PruneOptions::stop, "end before this")
      .output("out", &PruneOptions::out, "new model folder; must not exist")
      .check([](const PruneOptions& options) {
        if (options.ratio && !options.remove.empty()) throw InputError("--ratio and --remove exclude each other; give one");
      })
      .example("tessera shortgpt prune smollm2 --layers 3 --out small/", "remove three layers");
}

PruneOptions parse(const std::vector<std::string>& words) {
  const auto table = prune_options();
  return fill(table, parse_words(table.rows(), words, "shortgpt prune"));
}

std::string error_of(const std::vector<std::string>& words) {
  try {
    parse(words);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

class Options : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tessera_options_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    for (const char* name : {"a.txt", "b.txt"}) std::ofstream(folder_ / name) << "text";
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string in(const char* name) const { return (folder_ / name).string(); }
  fs::path folder_;
};

TEST_F(Options, KeepTheirDefaultsWhenNothingIsGiven) {
  const auto options = parse({"m"});
  EXPECT_EQ(options.model_text, "m");
  EXPECT_EQ(options.layers, 3);
  EXPECT_FALSE(options.ratio.has_value());
  EXPECT_EQ(options.metric, Metric::influence);
  EXPECT_TRUE(options.cache);
}

TEST_F(Options, StandBeforeOrAfterPositionalsInEveryForm) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--layers", "5", "--metric=ppl", "m", "-S", "--no-cache"},
                                                {"m", "-n", "5", "--metric", "ppl", "--sublayers", "--cache=false"},
                                                {"-n5", "-S", "--metric=ppl", "--no-cache", "--", "m"},
                                                {"--model", "m", "-n=5", "--metric=ppl", "--sublayers=yes", "--cache=off"}}) {
    const auto options = parse(words);
    EXPECT_EQ(options.model_text, "m");
    EXPECT_EQ(options.layers, 5);
    EXPECT_EQ(options.metric, Metric::perplexity);
    EXPECT_TRUE(options.sublayers);
    EXPECT_FALSE(options.cache);
  }
}

TEST_F(Options, TakeNegativeNumbersAndWordsAfterTheDoubleDash) {
  EXPECT_EQ(error_of({"m", "--layers", "-3"}), "--layers -3: out of range; give 1 to 1000");
  EXPECT_EQ(parse({"--", "--odd-name"}).model_text, "--odd-name");
}

TEST_F(Options, ListsSplitAtCommasAndTextsRepeat) {
  const auto options = parse({"m", "--remove", "21,-1", "--stop", "a,b", "--stop", "c"});
  EXPECT_THAT(options.remove, ElementsAre(21, -1));
  EXPECT_THAT(options.stop, ElementsAre("a,b", "c"));
}

TEST_F(Options, InputsTakeSeveralWordsButLeaveOneForThePositional) {
  EXPECT_THAT(parse({"m", "--calib", in("a.txt"), in("b.txt")}).calib, ElementsAre(in("a.txt"), in("b.txt")));
  const auto options = parse({"--calib", in("a.txt"), in("b.txt"), "m"});
  EXPECT_THAT(options.calib, ElementsAre(in("a.txt"), in("b.txt")));
  EXPECT_EQ(options.model_text, "m");
}

TEST_F(Options, ErrorsNameWhatWasGivenAndTheMend) {
  EXPECT_EQ(error_of({"m", "--layer", "3"}), "unknown option --layer; did you mean --layers?");
  EXPECT_EQ(error_of({"m", "--xyzzyplugh"}), "unknown option --xyzzyplugh; tessera shortgpt prune --help lists them");
  EXPECT_EQ(error_of({"m", "-x"}), "unknown option -x; tessera shortgpt prune --help lists them");
  EXPECT_EQ(error_of({}), "MODEL is missing; give it: model to shorten");
  EXPECT_EQ(error_of({"m", "n"}), "one word too many: n; tessera shortgpt prune --help shows what it takes");
  EXPECT_EQ(error_of({"m", "--layers"}), "--layers needs a value; give --layers N");
  EXPECT_EQ(error_of({"m", "--layers", "--sublayers"}), "--layers needs a value; give --layers N");
  EXPECT_EQ(error_of({"m", "--layers", "three"}), "--layers three: not a whole number; give 1 to 1000");
  EXPECT_EQ(error_of({"m", "--layers", "3.5"}), "--layers 3.5: not a whole number; give 1 to 1000");
  EXPECT_EQ(error_of({"m", "--layers", "99999999999999999999"}), "--layers 99999999999999999999: too large a number; give 1 to 1000");
  EXPECT_EQ(error_of({"m", "--layers", "2000"}), "--layers 2000: out of range; give 1 to 1000");
  EXPECT_EQ(error_of({"m", "--ratio", "nan"}), "--ratio nan: not a number; give 0 to 0.9");
  EXPECT_EQ(error_of({"m", "--layers", "3", "-n", "4"}), "-n is given twice: 3 and 4; give it once");
  EXPECT_EQ(error_of({"m", "--metric", "bo"}), "--metric bo: unknown; did you mean bi? (bi, ppl)");
  EXPECT_EQ(error_of({"m", "--metric", "cosine"}), "--metric cosine: unknown; give one of bi, ppl");
  EXPECT_EQ(error_of({"m", "--cache=maybe"}), "--cache=maybe: neither true nor false; give one of the two");
  EXPECT_EQ(error_of({"m", "--calib", "/nowhere/x.txt"}), "--calib /nowhere/x.txt: no such file, and no folder /nowhere; check the path");
  EXPECT_EQ(error_of({"m", "--calib", in("c.txt")}), "--calib " + in("c.txt") + ": no such file; check the path");
  EXPECT_EQ(error_of({"m", "--out", "/nowhere/deep/x"}), "--out /nowhere/deep/x: there is no folder /nowhere/deep; make it first");
  EXPECT_EQ(error_of({"m", "--ratio", "0.5", "--remove", "1"}), "--ratio and --remove exclude each other; give one");
  EXPECT_EQ(error_of({"m", "--layers", "\x1b[31m"}), "--layers \\x1b[31m: not a whole number; give 1 to 1000");
}

TEST_F(Options, OutputsMustNotExistUnlessForced) {
  const auto table = prune_options();
  const auto given = parse_words(table.rows(), {"m", "--out", in("a.txt")}, "prune");
  EXPECT_THROW(check_outputs(table.rows(), given, false), InputError);
  EXPECT_NO_THROW(check_outputs(table.rows(), given, true));
  fs::create_directory(folder_ / "empty");
  EXPECT_NO_THROW(check_outputs(table.rows(), parse_words(table.rows(), {"m", "--out", in("empty")}, "prune"), false));
}

TEST_F(Options, EnvironmentIsWeakerThanTheLineAndStrongerThanTheRecipe) {
  const auto table = prune_options();
  const auto environment = parse_environment(table.rows(), [](const char* name) -> const char* {
    const std::string_view variable = name;
    return variable == "TESSERA_LAYERS" ? "7" : variable == "TESSERA_REMOVE" ? "1,2" : nullptr;
  });
  GivenOptions given = parse_words(table.rows(), {"m"}, "prune");
  GivenOptions recipe = {{"layers", Given{{"9"}, Source::recipe, "r: "}}, {"ratio", Given{{"0.5"}, Source::recipe, "r: "}}};
  merge(given, recipe);
  merge(given, environment);
  EXPECT_EQ(given["layers"].values.front(), "7");
  EXPECT_THAT(given["remove"].values, ElementsAre("1", "2"));
  EXPECT_EQ(given["ratio"].values.front(), "0.5");
  merge(given, {{"layers", Given{{"4"}, Source::option, "--layers "}}});
  merge(given, environment);
  EXPECT_EQ(given["layers"].values.front(), "4");
  EXPECT_EQ(environment_name("train.lr-end"), "TESSERA_TRAIN_LR_END");
}

TEST_F(Options, HelpShowsUnitRangeDefaultAndStaysNarrow) {
  auto spec = prune_options().spec();
  spec.rows = with_program_options(spec.rows);
  const std::string help = help_text("shortgpt prune", "write a smaller model without the lowest layers", spec);
  EXPECT_TRUE(help.starts_with("Write a smaller model without the lowest layers.\n\nusage: tessera shortgpt prune MODEL [options]\n"));
  EXPECT_THAT(help, HasSubstr("-n, --layers N"));
  EXPECT_THAT(help, HasSubstr("how many layers to remove (layers, 1 to 1000) [default 3]"));
  EXPECT_THAT(help, HasSubstr("--metric bi|ppl"));
  EXPECT_THAT(help, HasSubstr("[default on; --no-cache]"));
  EXPECT_THAT(help, HasSubstr("--device cpu|cuda"));
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), kHelpWidth) << line;
}

TEST_F(Options, ARowOfTheCommandReplacesTheProgramsAndKeepsItsLetter) {
  struct Own {
    std::string out;
    int64_t tokens = 1;
  };
  const auto table = OptionTable<Own>().text("out", &Own::out, "mine").number("tokens", &Own::tokens, Range{0, 9}, "n").short_name('t');
  const auto rows = with_program_options(table.rows());
  int outs = 0;
  for (const auto& row : rows) outs += row.name == "out" ? 1 : 0;
  EXPECT_EQ(outs, 1);
  EXPECT_EQ(find_row(rows, "threads")->short_name, 0);
  EXPECT_EQ(find_row(rows, "tokens")->short_name, 't');
}

TEST_F(Options, NearestPrefersTheClosestName) {
  EXPECT_EQ(nearest("layer", {"lagers", "layers", "out"}), "layers");
  EXPECT_EQ(nearest("o", {"bi", "rm"}), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), {"x"}), "");
}

}  // namespace
}  // namespace tessera::run
