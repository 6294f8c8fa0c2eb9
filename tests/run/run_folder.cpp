#include "tessera/run/run_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "tessera/base/error.h"
#include "tessera/run/command.h"

namespace tessera::run {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    root_ = fs::temp_directory_path() / ("tessera-" + name + std::to_string(getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  static std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void put(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

  fs::path root_;
};

TEST_F(RunFolderTest, IsNewEveryTimeAndNamedByTimeAndCommand) {
  const RunFolder first({.name = "shortgpt prune/..", .root = root_ / "runs"}),
      second({.name = "shortgpt prune/..", .root = root_ / "runs"});
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(first.path().parent_path(), root_ / "runs");
  const std::string name = first.path().filename().string();
  EXPECT_EQ(name.substr(8, 1) + name.substr(15), "--shortgpt-prune-..") << name;
  EXPECT_TRUE(fs::is_directory(first.path() / "artifacts"));
}

TEST_F(RunFolderTest, RefusesAFolderThatHoldsAnything) {
  put(root_ / "mine.txt", "x");
  try {
    RunFolder folder({.name = "n", .out = root_});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()),
              "--out " + root_.string() + ": the folder is not empty; give a new one, or --force to replace an earlier run");
  }
  EXPECT_FALSE(fs::exists(root_ / "artifacts"));
  EXPECT_THROW(RunFolder({.name = "n", .out = root_ / "mine.txt"}), InputError);
  EXPECT_NO_THROW(RunFolder({.name = "n", .out = root_ / "new" / "deeper"}));
  EXPECT_THROW(RunFolder({.name = "n", .out = root_ / "mine.txt" / "below"}), WorkError);
}

TEST_F(RunFolderTest, ReplacingRemovesOnlyWhatARunLeft) {
  put(root_ / "mine.txt", "x");
  put(root_ / "metrics.jsonl", "old\n");
  put(root_ / "events.out.tfevents.1.h.2.0", "old");
  fs::create_directories(root_ / "artifacts");
  put(root_ / "artifacts" / "old.bin", "old");
  const RunFolder folder({.name = "n", .out = root_, .if_exists = IfExists::replace});
  EXPECT_TRUE(fs::exists(root_ / "mine.txt"));
  EXPECT_FALSE(fs::exists(root_ / "metrics.jsonl"));
  EXPECT_FALSE(fs::exists(root_ / "events.out.tfevents.1.h.2.0"));
  EXPECT_FALSE(fs::exists(root_ / "artifacts" / "old.bin"));
}

TEST_F(RunFolderTest, ResumingAppends) {
  {
    RunFolder folder({.name = "n", .out = root_});
    folder.metrics().write(1, {{"train/loss", 2.5}});
    folder.log("first");
  }
  RunFolder folder({.name = "n", .out = root_, .if_exists = IfExists::resume});
  folder.metrics().write(2, {{"train/loss", 2.25}});
  folder.log("second\nline");
  std::istringstream lines(content(root_ / "metrics.jsonl"));
  std::string line;
  for (int step = 1; std::getline(lines, line); ++step) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["step"], step);
    EXPECT_GT(json["time"].get<double>(), 1.6e9);
    EXPECT_EQ(json["train/loss"], step == 1 ? 2.5 : 2.25);
  }
  const std::string log = content(root_ / "log.txt");
  EXPECT_NE(log.find(" first\n"), std::string::npos);
  EXPECT_NE(log.find(" second\\nline\n"), std::string::npos) << "one line a call";
}

TEST_F(RunFolderTest, ArtifactsStayInside) {
  const RunFolder folder({.name = "n", .out = root_});
  EXPECT_EQ(folder.artifact("model/config.json"), root_ / "artifacts/model/config.json");
  EXPECT_TRUE(fs::is_directory(root_ / "artifacts/model"));
  for (const char* bad : {"", ".", "..", "../x", "a/../../x", "/etc/passwd"}) EXPECT_THROW(folder.artifact(bad), std::logic_error) << bad;
}

TEST_F(RunFolderTest, KeepsTheRecipe) {
  const RunFolder folder({.name = "n", .out = root_});
  folder.write_recipe("seed = 0\n");
  EXPECT_EQ(content(root_ / "recipe.toml"), "seed = 0\n");
}

TEST(Metrics, LinesAreJsonWhateverTheNumber) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(metrics_line(7, 1.5, {{"a/b", 0.1}, {"a/c", 3}}), R"({"step":7,"time":1.5,"a/b":0.1,"a/c":3.0})");
  EXPECT_EQ(metrics_line(0, 0, {{"x", std::nan("")}, {"y", infinity}, {"z", -infinity}}),
            R"({"step":0,"time":0.0,"x":"NaN","y":"Infinity","z":"-Infinity"})");
  const double awkward = 0.1 + 0.2;
  EXPECT_EQ(nlohmann::json::parse(metrics_line(1, 0, {{"x", awkward}}))["x"].get<double>(), awkward) << "every digit is kept";
  EXPECT_EQ(metrics_line(1, 0, {{"a\"\n\xff", 1}}).find('\n'), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(metrics_line(1, 0, {{"a\"\n\xff", 1}})));
}

TEST(Metrics, NamesAreUniqueAndNotReserved) {
  EXPECT_THROW(metrics_line(1, 0, {{"step", 1}}), std::logic_error);
  EXPECT_THROW(metrics_line(1, 0, {{"time", 1}}), std::logic_error);
  EXPECT_THROW(metrics_line(1, 0, {{"", 1}}), std::logic_error);
  EXPECT_THROW(metrics_line(1, 0, {{"a", 1}, {"a", 2}}), std::logic_error);
}

TEST_F(RunFolderTest, LogHoldsWhatTheRunSaidEvenWhenQuiet) {
  Settings settings;
  settings.out = root_ / "run";
  settings.quiet = true;
  std::string printed;
  const auto print = [&](std::string_view text) { printed += text; };
  Context context(settings, {.out = print, .err = print, .progress = {}}, "reproduce shortgpt");
  context.note("before there is a folder");
  context.folder();
  context.note("scoring {} layers", 30);
  context.line("report: {}", "x.html");
  EXPECT_EQ(printed, "");
  const auto log = content(root_ / "run" / "log.txt");
  EXPECT_NE(log.find(" scoring 30 layers\n"), std::string::npos) << log;
  EXPECT_NE(log.find(" report: x.html\n"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2) << log;
}

}  // namespace
}  // namespace tessera::run
