// Ranks on GPUs, as far as no GPU is needed: which GPU a rank takes, what is refused, training on another device, a lost connection.

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "tessera/base/error.h"
#include "tessera/train/loop.h"
#include "tessera/train/parallel/exchanged.h"
#include "tessera/train/parallel/gpu_choice.h"
#include "tests/train/doubles.h"
#include "tests/train/other_device.h"
#include "tests/train/parallel_ranks.h"
#include "tests/train/thrown.h"

namespace tessera::train {

namespace {

// Rank 0 of two, whose partner always has zeros to give; from operation `lost_at` on the partner is gone.
class LonelyRanks : public Collective {
 public:
  int64_t lost_at = 1'000'000;
  int64_t operations = 0;

  int64_t rank() const override { return 0; }
  int64_t size() const override { return 2; }
  std::shared_ptr<Pending> start_all_reduce(torch::Tensor /*tensor*/) override { return count(); }
  std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> /*parts*/) override { return count(); }
  std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> /*parts*/) override { return count(); }
  void broadcast(torch::Tensor /*tensor*/, int64_t /*root*/) override { count()->wait(); }
  void send(const torch::Tensor& /*tensor*/, int64_t /*to*/) override { count()->wait(); }
  void receive(torch::Tensor /*tensor*/, int64_t /*from*/) override { count()->wait(); }
  void barrier() override { count()->wait(); }
  void leave() override {}
  void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  struct Counted : Pending {
    bool lost = false;
    bool done() const override { return true; }
    void wait() override {
      if (lost) throw ConnectionError("a transfer between ranks failed; resume from the last checkpoint");
    }
  };
  std::shared_ptr<Pending> count() {
    auto pending = std::make_shared<Counted>();
    pending->lost = ++operations >= lost_at;
    return pending;
  }
};

}  // namespace

TEST(ChooseGpus, RanksOfAHostTakeItsGpusInOrder) {
  const VisibleGpus a{.host = 1, .gpus = {10, 11, 12, 13}}, b{.host = 2, .gpus = {20, 21}};
  EXPECT_EQ(choose_gpus({a, a, b, a, b}), (std::vector<int64_t>{0, 1, 0, 2, 1}));
  EXPECT_EQ(choose_gpus({}), std::vector<int64_t>());
}

// srun --gpus-per-task=1 shows each rank its own GPU, as number 0.
TEST(ChooseGpus, RanksThatWereGivenOneEachTakeIt) {
  EXPECT_EQ(choose_gpus({{.host = 1, .gpus = {11}}, {.host = 1, .gpus = {10}}, {.host = 1, .gpus = {12}}}),
            (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(choose_gpus({{.host = 1, .gpus = {10, 11}}, {.host = 1, .gpus = {11, 10}}}), (std::vector<int64_t>{0, 0}));
}

TEST(ChooseGpus, MoreRanksThanGpusIsOneLine) {
  const VisibleGpus a{.host = 1, .gpus = {10, 11}}, b{.host = 2, .gpus = {20, 21}};
  EXPECT_EQ(input_error_of([&] {
              choose_gpus({b, a, a, b, a});
            }),
            "rank 4 finds no GPU of its own: 3 ranks share 2 GPUs on its host; start at most one rank a GPU");
  EXPECT_THROW(choose_gpus({{.host = 1, .gpus = {}}}), InputError);
}

TEST(HostNumber, IsTheSameAtEveryCall) { EXPECT_EQ(host_number(), host_number()); }

TEST(Exchanged, PartsAreOfOneDeviceDtypeAndNumber) {
  const auto cpu = torch::zeros({4}), meta = torch::zeros({4}, torch::kMeta);
  check_parts({cpu, torch::zeros({0})}, 2, torch::kCPU, "all-gather");
  EXPECT_EQ(input_error_of([&] {
              check_parts({cpu, meta}, 2, torch::kCPU, "all-gather");
            }),
            "all-gather: ranks exchange contiguous tensors on cpu; call .contiguous() or move it there first");
  EXPECT_EQ(input_error_of([&] { check_parts({cpu}, 2, torch::kCPU, "all-gather"); }),
            "all-gather: 1 parts for 2 ranks; give one part a rank");
  EXPECT_EQ(input_error_of([&] {
              check_parts({cpu, cpu.to(torch::kInt64)}, 2, torch::kCPU, "all-gather");
            }),
            "all-gather: parts of Float and Long; give one dtype");
  EXPECT_EQ(input_error_of([&] { check_exchanged(cpu.to(torch::kHalf), torch::kCPU, "send"); }),
            "send: ranks exchange float32, bfloat16 and int64, not Half; convert first");
  EXPECT_EQ(input_error_of([&] { partner(2, 2, "send"); }), "send: rank 2 of 2 ranks; give 0 to 1");
}

TEST(Join, RefusesGpusOfSeveralRanksWithoutNccl) {
#ifdef TESSERA_HAS_NCCL
  GTEST_SKIP() << "built with NCCL";
#else
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  setenv("OMPI_COMM_WORLD_RANK", "1", 1);
  const auto line = input_error_of([] { join({}, torch::kCUDA); });
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}) unsetenv(name);
  EXPECT_EQ(line,
            "--device cuda on 2 ranks: this program was built without NCCL, which moves tensors between GPUs; start one process, give "
            "--device cpu, or build with a CUDA LibTorch, CUDA's headers and NCCL");
#endif
}

TEST(Join, RefusesMoreRanksThanGpus) {
  SKIP_WITHOUT_MPIRUN();
#ifdef TESSERA_HAS_NCCL
  if (torch::cuda::device_count() > 0) GTEST_SKIP() << "there is a GPU";
  const auto run = run_ranks(2, "DISABLED_CollectiveOnRanks.SendsGoRoundInOrder", "-x TESSERA_TEST_RANKS_ON=gpus");
  EXPECT_NE(run.exit_code, 0);
  EXPECT_THAT(run.output, testing::HasSubstr("rank 0 finds no GPU of its own: 2 ranks share 0 GPUs on its host; start at most one"));
#else
  GTEST_SKIP() << "built without NCCL";
#endif
}

TEST(Join, OneProcessHasTheDeviceItAsksFor) {
  EXPECT_EQ(join({}, torch::kCUDA)->device(), torch::Device(torch::kCUDA, 0));
  EXPECT_EQ(join({})->device(), torch::Device(torch::kCPU));
}

TEST(OtherDevice, IsNoPlaceForTheCpu) {
  const auto there = torch::arange(6, torch::kFloat32).view({2, 3}).to(other_device());
  EXPECT_EQ(there.device(), other_device());
  EXPECT_TRUE((there.t() * 2).cpu().equal(torch::arange(6, torch::kFloat32).view({2, 3}).t() * 2));
  EXPECT_THROW(there + torch::ones({2, 3}), c10::Error);
  EXPECT_DEATH(static_cast<volatile float*>(there.data_ptr())[0] = 1.0F, "");
}

// A rank that lost the others has a state of its own, and nobody to complete it: nothing is saved beside the last good checkpoint.
TEST(Trainer, SavesNothingWhenTheRanksHaveLostEachOther) {
  const auto run = [](int64_t lost_at, const std::filesystem::path& folder) {
    const auto ranks = std::make_shared<LonelyRanks>();
    Regression regression;
    auto options = regression.options();
    options.ranks = ranks;
    Trainer trainer(regression.task(), std::move(options));
    ranks->operations = 0;
    ranks->lost_at = lost_at;
    if (folder.empty()) {
      trainer.step();
    } else {
      Checkpoints checkpoints(folder, 3);
      run_steps(trainer, checkpoints, {.steps = 1}, {});
    }
    return ranks->operations;
  };
  const int64_t of_a_step = run(1'000'000, "");
  ASSERT_GE(of_a_step, 5) << "counts, gradients, which were used, the loss, the norm, values";
  for (int64_t lost_at = 1; lost_at <= of_a_step; ++lost_at) {
    const TrainFolder folder;
    try {
      run(lost_at, folder.path());
      ADD_FAILURE() << "nothing was thrown at operation " << lost_at;
    } catch (const ConnectionError& error) {
      EXPECT_STREQ(error.what(), "a transfer between ranks failed; resume from the last checkpoint");
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "lost at operation " << lost_at;
  }
}

}  // namespace tessera::train
