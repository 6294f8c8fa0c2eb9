// What the operations of Collective give, on 2 and 4 ranks.

#include <gmock/gmock.h>

#include <cstdlib>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/train/parallel/host_memory.h"
#include "tests/train/parallel_ranks.h"

namespace tessera::train {

namespace {

// Values of rank r: the same on every machine, of both signs, not all exact in bfloat16.
torch::Tensor values_of(int64_t r, const std::vector<int64_t>& shape) {
  const int64_t count = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  const auto i = torch::arange(count, torch::kFloat64);
  return torch::sin(i * 0.37 + static_cast<double>(r)).mul(1.0 + static_cast<double>(r)).to(torch::kFloat32).view(shape);
}

}  // namespace

TEST(Alone, KeepsEveryTensor) {
  const auto ranks = alone();
  const auto x = values_of(0, {3, 5}), before = x.clone();
  ranks->all_reduce(x);
  ranks->reduce_scatter({x});
  ranks->all_gather({x});
  ranks->broadcast(x, 0);
  ranks->barrier();
  EXPECT_TRUE(x.equal(before));
  EXPECT_EQ(ranks->size(), 1);
  EXPECT_THROW(ranks->send(x, 1), InputError);
}

TEST(StartedAs, KnowsMpirunAndSrunByTheEnvironment) {
  EXPECT_EQ(started_as().size, 1);
  setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  EXPECT_THROW(started_as(), InputError) << "srun without --mpi=pmix";
  setenv("PMIX_RANK", "3", 1);
  setenv("SLURM_PROCID", "3", 1);
  EXPECT_EQ(started_as().by, "srun");
  EXPECT_EQ(started_as().rank, 3);
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  setenv("OMPI_COMM_WORLD_RANK", "1", 1);
  EXPECT_EQ(started_as().by, "mpirun");
  EXPECT_EQ(started_as().size, 2);
  setenv("OMPI_COMM_WORLD_SIZE", "2x", 1);
  EXPECT_EQ(started_as().by, "srun") << "not a number";
  for (const char* name : {"SLURM_STEP_NUM_TASKS", "PMIX_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"})
    unsetenv(name);
}

TEST(DISABLED_CollectiveOnRanks, AllReduceAddsInEveryDtype) {
  Collective& r = ranks();
  for (const int64_t count : {1, 7, 1000, 300'001}) {
    auto exact = torch::zeros({count}, torch::kFloat64);
    double largest = 0.0;
    for (int64_t i = 0; i < r.size(); ++i) {
      exact += values_of(i, {count}).to(torch::kFloat64);
      largest += values_of(i, {count}).abs().max().item<double>();
    }
    auto fp32 = values_of(r.rank(), {count}).to(r.device());
    r.all_reduce(fp32);
    EXPECT_LE((fp32.cpu() - exact).abs().max().item<double>(), 1e-6 * largest);
    auto bf16 = values_of(r.rank(), {count}).to(r.device(), torch::kBFloat16);
    r.all_reduce(bf16);
    EXPECT_LE((bf16.cpu().to(torch::kFloat64) - exact).abs().max().item<double>(), static_cast<double>(r.size()) * largest / 256);
    for (const auto device : {torch::Device(torch::kCPU), r.device()}) {
      auto whole = (torch::arange(count) + r.rank() * (int64_t{1} << 40)).to(device);
      r.all_reduce(whole);
      EXPECT_TRUE(whole.cpu().equal(torch::arange(count) * r.size() + r.size() * (r.size() - 1) / 2 * (int64_t{1} << 40))) << device;
    }
  }
}

TEST(DISABLED_CollectiveOnRanks, Bfloat16AdditionRoundsToNearestEvenAsLibTorchDoes) {
  Collective& r = ranks();
  if (r.size() != 2) return;  // with more ranks the order of the additions is MPI's
  const auto of = [](int64_t rank) {
    const auto specials = torch::tensor(std::vector<float>{INFINITY, -INFINITY, NAN, 3.3e38F, 1e-40F, -0.0F, 0.0F, 1.0F});
    return torch::cat({rank == 0 ? specials : specials.roll(1), values_of(rank, {5000})}).to(torch::kBFloat16);
  };
  auto sum = of(r.rank()).to(r.device());
  r.all_reduce(sum);
  sum = sum.cpu();
  const auto expected = of(0) + of(1);
  EXPECT_TRUE(torch::equal(sum.isnan(), expected.isnan()));
  EXPECT_TRUE(torch::equal(sum.nan_to_num(), expected.nan_to_num()));
}

TEST(DISABLED_CollectiveOnRanks, SumsAreTheSameOnEveryRankAndAtEveryRepetition) {
  Collective& r = ranks();
  for (const int64_t count : {int64_t{513}, int64_t{1} << 20}) {
    torch::Tensor first;
    for (int repetition = 0; repetition < 5; ++repetition) {
      auto sum = values_of(r.rank(), {count}).to(r.device()) / 3;
      r.all_reduce(sum);
      if (repetition == 0) first = sum.cpu();
      EXPECT_TRUE(sum.cpu().equal(first));
      auto of_zero = sum.clone();
      r.broadcast(of_zero, 0);
      EXPECT_TRUE(of_zero.cpu().equal(first));
    }
  }
}

TEST(DISABLED_CollectiveOnRanks, ReduceScatterAndAllGatherTakePartsOfAnySize) {
  Collective& r = ranks();
  const auto size_of = [](int64_t part) { return part == 1 ? 0 : 1000 + 37 * part; };
  for (const bool adjacent : {true, false}) {
    std::vector<torch::Tensor> parts;
    const auto buffer = torch::empty({8000}, r.device());
    int64_t begin = 0;
    for (int64_t p = 0; p < r.size(); ++p) {
      parts.push_back(adjacent ? buffer.slice(0, begin, begin + size_of(p)) : torch::empty({size_of(p)}, r.device()));
      parts.back().copy_(values_of(r.rank(), {size_of(p)}));
      begin += size_of(p);
    }
    r.reduce_scatter(parts);
    const auto mine = parts[static_cast<size_t>(r.rank())].cpu();
    auto expected = torch::zeros_like(mine);
    for (int64_t i = 0; i < r.size(); ++i) expected += values_of(i, {mine.numel()});
    EXPECT_TRUE(torch::allclose(mine, expected, 0.0, 1e-5));
    for (int64_t p = 0; p < r.size(); ++p)
      if (p != r.rank()) parts[static_cast<size_t>(p)].zero_();
    r.all_gather(parts);
    for (int64_t p = 0; p < r.size(); ++p) {
      auto whole = torch::zeros({size_of(p)});
      for (int64_t i = 0; i < r.size(); ++i) whole += values_of(i, {size_of(p)});
      EXPECT_TRUE(torch::allclose(parts[static_cast<size_t>(p)].cpu(), whole, 0.0, 1e-5)) << p;
    }
  }
}

TEST(DISABLED_CollectiveOnRanks, SendsGoRoundInOrder) {
  Collective& r = ranks();
  const int64_t next = (r.rank() + 1) % r.size(), before = (r.rank() + r.size() - 1) % r.size();
  for (const int64_t count : {3, 200'000}) {
    auto got = torch::empty({count}, r.device());
    if (r.rank() % 2 == 0) {
      r.send(values_of(r.rank(), {count}).to(r.device()), next);
      r.receive(got, before);
    } else {
      r.receive(got, before);
      r.send(values_of(r.rank(), {count}).to(r.device()), next);
    }
    EXPECT_TRUE(got.cpu().equal(values_of(before, {count})));
  }
}

TEST(DISABLED_CollectiveOnRanks, ManyOperationsAreUnderWayAtOnce) {
  Collective& r = ranks();
  std::vector<torch::Tensor> sums;
  std::vector<std::shared_ptr<Pending>> pending;
  for (int64_t i = 0; i < 20; ++i) {
    sums.push_back(torch::full({50'000 + i}, static_cast<float>(r.rank() + i), r.device()));
    pending.push_back(r.start_all_reduce(sums.back()));
  }
  for (auto at = pending.rbegin(); at != pending.rend(); ++at) (*at)->wait();
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_TRUE(sums[static_cast<size_t>(i)].eq(static_cast<float>(r.size() * (r.size() - 1) / 2 + r.size() * i)).all().item<bool>());
}

TEST(DISABLED_CollectiveOnRanks, SeeEachOthersMemoryOnOneHost) {
  Collective& r = ranks();
  const auto memory = HostMemory::open(r, 5000);
  ASSERT_NE(memory, nullptr);
  EXPECT_TRUE(std::all_of(memory->of(r.rank()), memory->of(r.rank()) + 5000, [](std::byte each) { return each == std::byte{0}; }));
  memory->of(r.rank())[4999] = static_cast<std::byte>(10 + r.rank());
  r.barrier();
  for (int64_t i = 0; i < r.size(); ++i) EXPECT_EQ(memory->of(i)[4999], static_cast<std::byte>(10 + i));
  r.barrier();
}

// Parts of a shared buffer: one of them empty, several rounds in the same memory.
TEST(DISABLED_CollectiveOnRanks, BuffersTakeSumsAndPartsInEveryDtype) {
  Collective& r = ranks();
  const auto size_of = [](int64_t part) { return part == 1 ? 0 : 1000 + 37 * part; };
  std::vector<int64_t> sizes;
  for (int64_t p = 0; p < r.size(); ++p) sizes.push_back(size_of(p));
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16, torch::kInt64}) {
    const auto buffer = r.buffer(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}), dtype);
    EXPECT_TRUE(buffer.eq(0).all().item<bool>());
    const auto parts = buffer.split_with_sizes(sizes);
    for (int64_t round = 0; round < 3; ++round) {
      const auto values = [&](int64_t rank, int64_t part) {
        return (values_of(rank + round, {size_of(part)}) * 50).to(dtype).to(torch::kFloat64);
      };
      for (int64_t p = 0; p < r.size(); ++p) torch::Tensor(parts[static_cast<size_t>(p)]).copy_(values(r.rank(), p));
      r.reduce_scatter(parts);
      r.all_gather(parts);
      for (int64_t p = 0; p < r.size(); ++p) {
        auto whole = torch::zeros({size_of(p)}, torch::kFloat64);
        for (int64_t i = 0; i < r.size(); ++i) whole += values(i, p);
        const double slack = dtype == torch::kBFloat16 ? 50.0 * static_cast<double>(r.size()) / 64 : dtype == torch::kInt64 ? 0.0 : 1e-3;
        EXPECT_TRUE(torch::allclose(parts[static_cast<size_t>(p)].cpu().to(torch::kFloat64), whole, 0.0, slack)) << dtype << " part " << p;
      }
    }
  }
}

TEST(DISABLED_CollectiveOnRanks, BuffersTakeManyOperationsAtOnceAndForgetWhatWasGivenUp) {
  Collective& r = ranks();
  const auto buffer = r.buffer(20 * r.size() * 100, torch::kFloat32).view({20, r.size(), 100});
  const auto parts_of = [&](int64_t i) { return buffer[i].view({-1}).split(100); };
  const auto start = [&](int64_t i) {
    buffer[i].fill_(static_cast<float>(r.rank() + i));
    return r.start_reduce_scatter(parts_of(i));
  };
  for (int64_t i = 0; i < 20; ++i) start(i);  // dropped
  r.barrier();
  std::vector<std::shared_ptr<Pending>> pending;
  for (int64_t i = 0; i < 20; ++i) pending.push_back(start(i));
  for (auto at = pending.rbegin(); at != pending.rend(); ++at) (*at)->wait();
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_TRUE(buffer[i][r.rank()].eq(static_cast<float>(r.size() * (r.size() - 1) / 2 + r.size() * i)).all().item<bool>()) << i;
    EXPECT_TRUE(pending[static_cast<size_t>(i)]->done()) << "its sum was read";
  }
}

TEST(DISABLED_CollectiveOnRanks, RefusesWhatItCannotMove) {
  Collective& r = ranks();
  for (const auto device : {torch::Device(torch::kCPU), r.device()}) {
    const auto zeros = torch::zeros({4, 4}, device);
    EXPECT_THROW(r.all_reduce(zeros.t().slice(0, 1, 3)), InputError);
    EXPECT_THROW(r.all_reduce(zeros.to(torch::kFloat64)), InputError);
    EXPECT_THROW(r.broadcast(zeros, r.size()), InputError);
    EXPECT_THROW(r.reduce_scatter({zeros}), InputError);
  }
  EXPECT_THROW(r.all_reduce(torch::zeros({4}, torch::kMeta)), InputError);
}

TEST(DISABLED_CollectiveOnRanks, CoresAreSharedAmongTheRanksOfAHost) {
  Collective& r = ranks();
  auto sum = torch::tensor({threads_of_rank(r)});
  r.all_reduce(sum);
  EXPECT_LE(sum.item<int64_t>(), std::max<int64_t>(sysconf(_SC_NPROCESSORS_ONLN), r.size()));
}

TEST(Collective, WorksOnTwoRanks) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(2, "DISABLED_CollectiveOnRanks.*");
}

TEST(Collective, WorksOnFourRanks) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(4, "DISABLED_CollectiveOnRanks.*");
}

// The same on GPUs, and, where there are none, on what stands for one: the tests themselves follow the device.
TEST(Collective, WorksOnADeviceThatIsNotTheCpu) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(2, "DISABLED_CollectiveOnRanks.*", RanksOn::other_device);
}

TEST(Collective, WorksOnTwoGpus) {
  SKIP_WITHOUT_MPIRUN();
  SKIP_WITHOUT_GPUS(2);
  expect_on_ranks(2, "DISABLED_CollectiveOnRanks.*", RanksOn::gpus);
}

TEST(Collective, WorksOnFourGpus) {
  SKIP_WITHOUT_MPIRUN();
  SKIP_WITHOUT_GPUS(4);
  expect_on_ranks(4, "DISABLED_CollectiveOnRanks.*", RanksOn::gpus);
}

}  // namespace tessera::train
