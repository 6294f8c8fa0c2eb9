#include "tests/train/parallel_ranks.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/train/other_device.h"

namespace tessera::train {

namespace {

std::shared_ptr<Collective>& joined() {
  static std::shared_ptr<Collective> collective;
  return collective;
}

constexpr const char* kRanksOn = "TESSERA_TEST_RANKS_ON";  // tells a rank of a RanksOn
constexpr std::array kNames{"cpu", "other", "gpus"};

class LeaveAtTheEnd : public testing::EmptyTestEventListener {
  void OnTestProgramEnd(const testing::UnitTest& test) override {
    if (joined() != nullptr && test.Passed()) joined()->leave();
    if (joined() != nullptr && !test.Passed()) joined()->abort(1);
  }
};

}  // namespace

Collective& ranks() {
  if (joined() == nullptr) {
    torch::set_num_threads(1);
    const char* set = std::getenv(kRanksOn);
    const std::string_view on = set != nullptr ? set : kNames[0];
    const auto lost = [](const std::string& line) {
      std::fprintf(stderr, "lost: %s\n", line.c_str());
      std::_Exit(1);
    };
    joined() = join(lost, on == kNames[2] ? torch::kCUDA : torch::kCPU);
    if (on == kNames[1]) joined() = over_other_device(joined());
    testing::UnitTest::GetInstance()->listeners().Append(new LeaveAtTheEnd);
  }
  return *joined();
}

std::string no_mpirun() {
#ifdef TESSERA_MPIRUN
  std::error_code error;
  return std::filesystem::exists(TESSERA_MPIRUN, error) ? "" : "mpirun is not there";
#else
  return "built without MPI";
#endif
}

RanksRun run_ranks([[maybe_unused]] int n, [[maybe_unused]] const std::string& filter, [[maybe_unused]] const std::string& options) {
  RanksRun run;
#ifdef TESSERA_MPIRUN
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = fmt::format(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 exec timeout 120 {} -n {} --oversubscribe {} {} "
      "--gtest_also_run_disabled_tests --gtest_brief=1 --gtest_filter={} 2>&1 </dev/null",
      TESSERA_MPIRUN, n, options, self, filter);
  const auto start = std::chrono::steady_clock::now();
  std::FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) run.output.append(buffer.data(), got);
  const int status = pclose(pipe);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
#endif
  return run;
}

std::string no_gpus(int n) {
#ifdef TESSERA_HAS_NCCL
  const auto gpus = static_cast<int>(torch::cuda::device_count());
  return gpus >= n ? "" : fmt::format("{} CUDA devices for {} ranks", gpus, n);
#else
  return fmt::format("built without NCCL: no GPUs for {} ranks", n);
#endif
}

void expect_on_ranks(int n, const std::string& filter, RanksOn on) {
  const RanksRun run = run_ranks(n, filter, fmt::format("-x {}={}", kRanksOn, kNames.at(static_cast<size_t>(on))));
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_NE(run.output.find("[  PASSED  ]"), std::string::npos) << run.output;
  EXPECT_EQ(run.output.find("[  PASSED  ] 0 tests"), std::string::npos) << run.output;
}

}  // namespace tessera::train
