// train as a person runs it: to its end, stopped, killed at any moment, on a full disk.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {

namespace fs = std::filesystem;

namespace {

// About 60 kB of words that follow each other by a rule a small model can learn some of.
void write_texts(const TemporaryFolder& folder) {
  std::mt19937 random(7);
  const std::vector<std::string> words{"the",   "sea",  "is", "calm",  "and",  "deep", "wind",
                                       "blows", "over", "a",  "small", "boat", "at",   "night"};
  for (int file = 0; file < 3; ++file) {
    std::string text;
    size_t at = 0;
    for (int i = 0; i < 4000; ++i) {
      at = (at * 5 + 1 + random() % 3) % words.size();
      text += words[at] + (i % 11 == 10 ? ".\n" : " ");
    }
    folder.write(fmt::format("texts/{}.txt", file), text);
  }
  folder.write("config.json", R"({"model_type": "llama", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128, "tie_word_embeddings": true})");
}

std::vector<std::string> train_words(const TemporaryFolder& folder, const std::string& out, int steps, int save_every = 10) {
  return {"train",
          "--data",
          folder.path("texts"),
          "--model",
          folder.path("config.json"),
          "--vocab",
          "300",
          "--length",
          "16",
          "--batch",
          "64",
          "--tokens",
          std::to_string(64 * steps),
          "--threads",
          "1",
          "--dtype",
          "fp32",
          "--save-every",
          std::to_string(save_every),
          "--eval-every",
          "50",
          "--out",
          folder.path(out),
          "--resume"};
}

// The program, running on its own.
class Started {
 public:
  Started(std::vector<std::string> words, const TemporaryFolder& folder, rlim_t most_bytes = RLIM_INFINITY, uid_t user = geteuid())
      : err_(folder.path("err")) {
    child_ = fork();
    if (child_ != 0) return;
    (void)!freopen("/dev/null", "w", stdout);
    (void)!freopen(err_.c_str(), "w", stderr);
    if (most_bytes != RLIM_INFINITY) {
      std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails with EFBIG, as on a full disk
      const rlimit limit{most_bytes, most_bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (user != geteuid() && (setgid(user) != 0 || setuid(user) != 0)) _exit(126);
    words.insert(words.begin(), TESSERA_PROGRAM);
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(TESSERA_PROGRAM, arguments.data());
    _exit(127);
  }
  // The exit code, or 128 + signal.
  int wait() {
    int status = 0;
    waitpid(child_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int end_after(int milliseconds, int signal) {
    usleep(static_cast<useconds_t>(milliseconds) * 1000);
    kill(child_, signal);
    return wait();
  }
  std::string err() const {
    std::ifstream in(err_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string err_;
  pid_t child_;
};

// Every step's number and figures, without times.
std::vector<std::string> losses_in(const std::string& run) {
  std::vector<std::string> losses;
  std::ifstream in(fs::path(run) / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) {
    auto json = nlohmann::ordered_json::parse(line);
    json.erase("time");
    json.erase("train/tokens_per_second");
    losses.push_back(json.dump());
  }
  return losses;
}

// The step of the last complete checkpoint, 0 without one; every file of it must be there.
int64_t saved_step(const std::string& run) {
  const fs::path latest = fs::path(run) / "latest";
  if (!fs::exists(latest)) return 0;
  for (const char* file : {"config.json", "model.safetensors", "optimizer.safetensors", "rng.safetensors", "tokenizer.json"})
    EXPECT_TRUE(fs::exists(latest / file)) << file;
  std::ifstream in(latest / "trainer_state.json");
  return nlohmann::json::parse(in)["step"];
}

}  // namespace

TEST(Train, ContinuesWithTheSameLossesWhereverItWasKilled) {
  const TemporaryFolder folder;
  write_texts(folder);
  constexpr int steps = 240, kills = 22;
  ASSERT_EQ(Started(train_words(folder, "whole", steps, 2), folder).wait(), 0);
  std::mt19937 random(1);
  int64_t saved = 0;
  int killed = 0, during = 0;
  for (int i = 0; i < kills; ++i) {
    const fs::path latest = fs::path(folder.path("killed")) / "latest";
    std::error_code none;
    const auto before = fs::read_symlink(latest, none);
    Started run(train_words(folder, "killed", steps, 2), folder);
    for (int wait = 0; wait < 2000 && fs::read_symlink(latest, none) == before; ++wait) usleep(5'000);  // until it has saved once more
    const int code = run.end_after(static_cast<int>(random() % 25), SIGKILL);
    if (code == 0) break;
    ASSERT_EQ(code, 128 + SIGKILL);
    ++killed;
    for (const auto& entry : fs::directory_iterator(folder.path("killed"))) during += entry.path().extension() == ".tmp" ? 1 : 0;
    const int64_t now = saved_step(folder.path("killed"));
    ASSERT_GE(now, saved);
    saved = now;
  }
  EXPECT_GE(killed, 3) << "the run ended too early to say much";
  RecordProperty("kills_during_a_save", during);
  ASSERT_EQ(Started(train_words(folder, "killed", steps, 2), folder).wait(), 0);
  EXPECT_EQ(losses_in(folder.path("killed")), losses_in(folder.path("whole")));
  for (const auto& entry : fs::directory_iterator(folder.path("killed"))) EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
}

TEST(Train, StopsAtCtrlCWithASaveAndSaysHowToGoOn) {
  const TemporaryFolder folder;
  write_texts(folder);
  ASSERT_EQ(Started(train_words(folder, "whole", 150), folder).wait(), 0);
  auto words = train_words(folder, "stopped", 150);
  words.pop_back();  // without --resume
  Started first(words, folder);
  for (int i = 0; i < 400 && saved_step(folder.path("stopped")) == 0; ++i) usleep(10'000);
  EXPECT_EQ(first.end_after(0, SIGINT), 130);
  EXPECT_THAT(first.err(), testing::HasSubstr("saved; go on with: tessera train --resume " + folder.path("stopped")));
  const auto ran = run_tessera({"train", "--resume", folder.path("stopped"), "--json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.json()["steps"], 150);
  EXPECT_EQ(losses_in(folder.path("stopped")), losses_in(folder.path("whole")));
  // The written model is a model for every other command.
  const auto said = run_tessera({"generate", folder.path("stopped/model"), "-p", "the sea", "-n", "8", "--json"});
  ASSERT_EQ(said.exit_code, 0) << said.err;
  EXPECT_EQ(said.json()["tokens"], 8);
  // And a second start without --resume touches nothing.
  const auto again = run_tessera(words);
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_THAT(again.err, testing::HasSubstr("holds a run already; go on with --resume"));
}

TEST(Train, KeepsTheLastGoodCheckpointWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  write_texts(folder);
  Started first(train_words(folder, "full", 400), folder);
  for (int i = 0; i < 400 && saved_step(folder.path("full")) == 0; ++i) usleep(10'000);
  EXPECT_EQ(first.end_after(0, SIGINT), 130);
  const int64_t saved = saved_step(folder.path("full"));
  ASSERT_GT(saved, 0);
  Started second(train_words(folder, "full", 400), folder, 60'000);
  EXPECT_EQ(second.wait(), 1);
  const std::string line = second.err();
  EXPECT_THAT(line, testing::HasSubstr("was not saved"));
  EXPECT_THAT(line, testing::HasSubstr("is intact: free some space and resume from it\n"));
  EXPECT_EQ(saved_step(folder.path("full")), saved);
}

// A folder that cannot be written any more: one line, and the last good checkpoint as it was. Nobody in particular runs it: permissions do
// not bind an administrator.
TEST(Train, KeepsTheLastGoodCheckpointWhenItsFolderIsReadOnly) {
  const TemporaryFolder folder;
  write_texts(folder);
  constexpr uid_t nobody = 65534;
  const bool administrator = geteuid() == 0;
  fs::create_directory(folder.path("locked"));
  if (administrator) {
    for (const auto& entry : fs::recursive_directory_iterator(folder.path())) ASSERT_EQ(lchown(entry.path().c_str(), nobody, nobody), 0);
    ASSERT_EQ(lchown(folder.path().c_str(), nobody, nobody), 0);
  }
  Started run(train_words(folder, "locked", 4000, 20), folder, RLIM_INFINITY, administrator ? nobody : geteuid());
  for (int i = 0; i < 1000 && saved_step(folder.path("locked")) == 0; ++i) usleep(10'000);
  ASSERT_EQ(chmod(folder.path("locked").c_str(), 0555), 0);
  const int code = run.wait();
  const int64_t saved = saved_step(folder.path("locked"));
  ASSERT_EQ(chmod(folder.path("locked").c_str(), 0755), 0);
  EXPECT_EQ(code, 1) << run.err();
  EXPECT_GT(saved, 0);
  EXPECT_THAT(run.err(), testing::HasSubstr(fmt::format("checkpoint-{} was not saved: ", saved + 20)));
  EXPECT_THAT(run.err(), testing::HasSubstr(fmt::format("checkpoint-{} is intact: ", saved)));
}

// One rank and two see the same batches: the losses agree, whatever the order of their sums, and a job resumes on another number of ranks.
TEST(Train, RanksShareTheBatchAndResumeOnAnotherNumber) {
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0) GTEST_SKIP() << "mpirun is not installed";
  const TemporaryFolder folder;
  write_texts(folder);
  ASSERT_EQ(Started(train_words(folder, "alone", 24), folder).wait(), 0);
  const auto on_ranks = [&](int ranks) {
    std::string line = fmt::format("mpirun --allow-run-as-root --oversubscribe -n {} {}", ranks, TESSERA_PROGRAM);
    for (const auto& word : train_words(folder, "ranks", 24)) line += " " + word;
    return std::system((line + " >/dev/null 2>" + folder.path("mpi")).c_str());
  };
  ASSERT_EQ(on_ranks(2), 0);
  const auto alone = losses_in(folder.path("alone")), ranks = losses_in(folder.path("ranks"));
  ASSERT_EQ(alone.size(), ranks.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    const auto one = nlohmann::json::parse(alone[i]), two = nlohmann::json::parse(ranks[i]);
    for (const auto& [key, value] : one.items())
      EXPECT_NEAR(value.get<double>(), two[key].get<double>(), 1e-5 * (1.0 + value.get<double>())) << key;
  }
  // Back to step 10, then on alone.
  fs::remove_all(folder.path("ranks/checkpoint-24"));
  fs::remove(folder.path("ranks/latest"));
  ASSERT_EQ(saved_step(folder.path("ranks")), 0);
  ASSERT_EQ(Started(train_words(folder, "ranks", 24), folder).wait(), 0);
  const auto again = losses_in(folder.path("ranks"));
  ASSERT_EQ(again.size(), alone.size());
  const auto last = nlohmann::json::parse(again.back()), wanted = nlohmann::json::parse(alone.back());
  for (const auto& [key, value] : wanted.items()) EXPECT_NEAR(value.get<double>(), last[key].get<double>(), 1e-5) << key;
}

// Factors instead of whole matrices: a run that goes on from an earlier checkpoint repeats the losses, restarts included, and what it
// writes is a model.
TEST(Train, FactorsContinueWithTheSameLosses) {
  const TemporaryFolder folder;
  write_texts(folder);
  for (const std::string way : {"lora", "low-rank", "relora"}) {
    auto words = train_words(folder, way, 24);
    words.insert(words.end(), {"--weights", way, "--lora-rank", "4", "--keep", "0"});
    if (way == "relora") words.insert(words.end(), {"--restart-every", "8", "--restart-warmup", "3"});
    ASSERT_EQ(Started(words, folder).wait(), 0) << way;
    const auto whole = losses_in(folder.path(way));
    for (const char* late : {"/checkpoint-24", "/checkpoint-20", "/latest"}) ASSERT_GT(fs::remove_all(folder.path(way + late)), 0U) << late;
    ASSERT_EQ(saved_step(folder.path(way)), 0);
    ASSERT_EQ(Started(words, folder).wait(), 0) << way;
    EXPECT_EQ(losses_in(folder.path(way)), whole) << way;
    EXPECT_FALSE(fs::exists(folder.path(way + "/adapter"))) << "embeddings were trained, too";
    EXPECT_EQ(run_tessera({"generate", folder.path(way + "/model"), "-p", "the sea", "-n", "4"}).exit_code, 0);
  }
}

TEST(Train, AnAdapterMergesIntoTheModelThatTheRunWrote) {
  const TemporaryFolder folder;
  write_texts(folder);
  ASSERT_EQ(Started(train_words(folder, "base", 12), folder).wait(), 0);
  const auto tune = [&](const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> words{"train",
                                   "--data",
                                   folder.path("texts"),
                                   "--model",
                                   folder.path("base/model"),
                                   "--weights",
                                   "lora",
                                   "--length",
                                   "16",
                                   "--batch",
                                   "64",
                                   "--tokens",
                                   "640",
                                   "--threads",
                                   "1",
                                   "--dtype",
                                   "fp32",
                                   "--out",
                                   folder.path(out),
                                   "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return run_tessera(words);
  };
  const auto ran = tune("lora", {});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto merged = run_tessera({"merge", folder.path("base/model"), folder.path("lora/adapter"), folder.path("merged"), "--json"});
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  EXPECT_EQ(merged.json()["layers"], 7);
  const auto bytes = [&](const std::string& path) {
    std::ifstream in(folder.path(path), std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  EXPECT_GT(bytes("merged/model.safetensors").size(), 1000U);
  EXPECT_EQ(bytes("merged/model.safetensors"), bytes("lora/model/model.safetensors"));
  EXPECT_NE(bytes("merged/model.safetensors"), bytes("base/model/model.safetensors"));
  const auto alone = tune("alone", {"--no-merge"});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_FALSE(fs::exists(folder.path("alone/model")));
  EXPECT_EQ(bytes("alone/adapter/adapter_model.safetensors"), bytes("lora/adapter/adapter_model.safetensors"));
  // What a plan counts: 7 layers, rank 8, factors of 64 x 64 and 64 x 96, 8 bytes a number and a counter each.
  const auto plan = tune("plan", {"--dry-run"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const int64_t numbers = 4 * 8 * (64 + 64) + 3 * 8 * (64 + 96);
  EXPECT_EQ(plan.json()["trained"], numbers);
  EXPECT_EQ(plan.json()["bytes"]["optimizer"], 8 * numbers + 8 * 14);
  EXPECT_EQ(plan.json()["bytes"]["gradients"], 4 * numbers);
  EXPECT_EQ(plan.json()["bytes"]["weights"].get<int64_t>() - 4 * plan.json()["parameters"].get<int64_t>(), 4 * numbers);
}

// Every shipped recipe of train is valid and plans, with this test's texts and model in the place of its own.
TEST(Train, ShippedRecipesPlan) {
  const TemporaryFolder folder;
  write_texts(folder);
  ASSERT_EQ(Started(train_words(folder, "base", 2), folder).wait(), 0);
  int recipes = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(TESSERA_SOURCE_DIR) / "recipes/train")) {
    SCOPED_TRACE(entry.path());
    ++recipes;
    const auto valid = run_tessera({"recipes", "validate", entry.path()});
    EXPECT_EQ(valid.exit_code, 0) << valid.err;
    std::ifstream in(entry.path());
    const std::string text(std::istreambuf_iterator<char>(in), {});
    std::vector<std::string> words{"train", "--recipe", entry.path(), "--data", folder.path("texts"), "--dry-run", "--json"};
    const bool fresh = text.find("model = \"small\"") != std::string::npos || text.find("model = \"medium\"") != std::string::npos;
    if (!fresh) words.insert(words.end(), {"--model", folder.path("base/model")});
    const auto plan = run_tessera(words);
    ASSERT_EQ(plan.exit_code, 0) << plan.err;
    EXPECT_GT(plan.json()["trained"], 0);
    EXPECT_EQ(plan.json()["trained"] == plan.json()["parameters"], text.find("weights = ") == std::string::npos);
  }
  EXPECT_GE(recipes, 4);
}

TEST(Train, RefusesInOneLine) {
  const TemporaryFolder folder;
  write_texts(folder);
  const auto refused = [&](std::vector<std::string> words, const std::string& why) {
    words.insert(words.begin(), "train");
    const auto ran = run_tessera(words, {.folder = folder.path()});
    EXPECT_EQ(ran.exit_code, 2) << why;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_THAT(ran.err, testing::HasSubstr(why));
    EXPECT_FALSE(fs::exists(folder.path("runs")) || fs::exists(folder.path("new"))) << why;
  };
  refused({}, "--data is missing");
  refused({"--data", "anarchsm"}, "did you mean anarchism?");
  refused({"--data", "texts", "--model", "smal"}, "no shape of that name; give tiny, small");
  refused({"--data", "texts", "--stages", "70M"}, "it has no @; give TOKENS@LENGTH");
  refused({"--data", "texts", "--stages", "70M@128:books=2"}, "books is no corpus of this run");
  refused({"--data", "texts", "--optim", "adamv"}, "--optim");
  refused({"--data", "texts", "--per-layer"}, "give --clip 0");
  refused({"--data", "texts", "--lora-rank", "4"}, "--lora-rank says nothing to --weights full");
  refused({"--data", "texts", "--schedule", "piecewise"}, "needs --pieces");
  refused({"--data", "texts", "--pieces", "0.5=0.1"}, "belong to --schedule piecewise");
  refused({"--data", "texts", "--schedule", "piecewise", "--pieces", "0.5"}, "give FROM=FACTOR");
  refused({"--data", "texts", "--schedule", "piecewise", "--pieces", "0.5=1,0.4=0.1"}, "ascending places");
  refused({"--data", "texts", "--accum", "lowrank"}, "give --optim galore-adamw");
  refused({"--data", "texts", "--no-merge"}, "which needs --weights lora");
  refused({"--data", "texts", "--weights", "relora", "--ema", "0.9"}, "give --ema 0");
  refused({"--resume", "new"}, "no run lies there");
  refused({"--data", "texts", "--model", "base", "--batch", "1000000", "--length", "1000", "--tokens", "1000000", "--dry-run"},
          "give a smaller --micro");
  const auto ran = run_tessera({"train", "--data", folder.path("texts"), "--out", "/proc/run", "--tokens", "1000"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, testing::HasSubstr("cannot make the run folder"));
}

TEST(Train, DryRunCountsWithoutMakingAFolder) {
  const TemporaryFolder folder;
  write_texts(folder);
  const auto ran = run_tessera({"train", "--data", "texts", "--model", "config.json", "--vocab", "300", "--length", "16", "--batch", "64",
                                "--tokens", "6400", "--dtype", "fp32", "--dry-run", "--json"},
                               {.folder = folder.path()});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto plan = ran.json();
  const int64_t parameters = 300 * 64 + 4 * 64 * 64 + 3 * 64 * 96 + 3 * 64;
  EXPECT_EQ(plan["parameters"], parameters);
  EXPECT_EQ(plan["steps"], 100);
  EXPECT_EQ(plan["bytes"]["weights"], 4 * parameters);
  EXPECT_EQ(plan["bytes"]["masters"], 0);
  EXPECT_GE(plan["bytes"]["optimizer"], 8 * parameters);
  EXPECT_EQ(plan["bytes"]["workspace"], 0);
  EXPECT_GT(plan["seconds"].get<double>(), 0.0);
  EXPECT_FALSE(fs::exists(folder.path("runs")));
  const auto projected = run_tessera({"train", "--data", "texts", "--model", "config.json", "--vocab", "300", "--length", "16", "--batch",
                                      "64", "--tokens", "6400", "--optim", "galore-adamw", "--rank", "8", "--dry-run", "--json"},
                                     {.folder = folder.path()});
  ASSERT_EQ(projected.exit_code, 0) << projected.err;
  EXPECT_GT(projected.json()["bytes"]["workspace"], 4 * 64 * 96) << "the search for a subspace";
}

}  // namespace tessera::cli_tests
