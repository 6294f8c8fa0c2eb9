// Gradients over ranks: GradientReducer and ShardedOptimizer beside one process that sees all the data.

#include "tessera/base/error.h"
#include "tessera/train/parallel/gradient_reducer.h"
#include "tessera/train/parallel/sharded_optimizer.h"
#include "tests/train/parallel_ranks.h"

namespace tessera::train {

namespace {

// Two layers, a gain that only odd ranks use, and a bias that nobody uses.
struct Net {
  std::vector<torch::Tensor> leaves;
  explicit Net(torch::Device device = torch::kCPU, torch::Dtype dtype = torch::kFloat32) {
    torch::manual_seed(7);
    for (const auto& shape : std::vector<std::vector<int64_t>>{{40, 16}, {40}, {8, 40}, {40}, {3}})
      leaves.push_back((torch::randn(shape) * 0.3).to(device, dtype).requires_grad_(true));
  }
  torch::Tensor loss(const torch::Tensor& x, bool use_gain, const std::function<void()>& at_first_layer = {}) const {
    auto h = torch::tanh(torch::linear(x, leaves[0], leaves[1]));
    if (at_first_layer)
      h.register_hook([at_first_layer](const torch::Tensor& gradient) {
        at_first_layer();
        return gradient;
      });
    if (use_gain) h = h * leaves[3];
    return torch::linear(h, leaves[2]).square().sum();
  }
};

// Rows of rank r's micro-batch m, where the net is.
torch::Tensor rows(int64_t r, int64_t m, const Net& net) {
  return torch::sin(torch::arange(5 * 16, torch::kFloat32) * (0.1 + 0.01 * static_cast<double>(r)) + static_cast<double>(m))
      .view({5, 16})
      .to(net.leaves[0].device(), net.leaves[0].scalar_type());
}

int64_t micro_batches(int64_t r) { return r == 0 ? 3 : r; }  // uneven

// The gradients of all ranks' rows in one process.
std::vector<torch::Tensor> whole_gradients(int64_t ranks, bool gain_on_odd = true) {
  const Net net;
  for (int64_t r = 0; r < ranks; ++r)
    for (int64_t m = 0; m < micro_batches(r); ++m) net.loss(rows(r, m, net), gain_on_odd && r % 2 == 1).backward();
  std::vector<torch::Tensor> all;
  for (const auto& leaf : net.leaves) all.push_back(leaf.grad());
  return all;
}

void run_micro_batches(const Net& net, GradientReducer& reducer, int64_t rank) {
  for (int64_t m = 0; m < micro_batches(rank); ++m) {
    reducer.expect(m + 1 == micro_batches(rank));
    net.loss(rows(rank, m, net), rank % 2 == 1).backward();
  }
}

void expect_close(const torch::Tensor& ours, const torch::Tensor& expected, double tolerance) {
  ASSERT_EQ(ours.defined(), expected.defined());
  if (!ours.defined()) return;
  EXPECT_EQ(ours.scalar_type(), torch::kFloat32);
  EXPECT_LE((ours.cpu() - expected).abs().max().item<double>(), tolerance * expected.abs().max().item<double>());
}

std::shared_ptr<Collective> shared_ranks() {
  return {&ranks(), [](Collective*) {}};
}

// Momentum whose step counts updates: a state of two tensors, one of them 0-d.
class Momentum : public Optimizer {
 public:
  explicit Momentum(std::vector<Parameter> parameters) : Optimizer(std::move(parameters)), states_(parameters_.size()) {}
  void update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) override {
    torch::NoGradGuard no_grad;
    for (size_t k = 0; k < which.size(); ++k) {
      auto& state = states_[which[k]];
      const auto& value = parameters_[which[k]].value;
      if (state.empty()) state = {{"step", torch::zeros({}, torch::kInt64)}, {"momentum", torch::zeros_like(value)}};
      state[0].second += 1;
      state[1].second.mul_(0.9).add_(grads[k]);
      torch::Tensor(value).add_(state[1].second, -time.lr);
    }
  }
  StateTensors state(size_t i) const override { return states_[i]; }
  void load_state(size_t i, const StateTensors& state) override { states_[i] = state; }
  int64_t state_bytes(size_t i) const override { return 8 + static_cast<int64_t>(parameters_[i].value.nbytes()); }

 private:
  std::vector<StateTensors> states_;
};

std::vector<Parameter> parameters_of(const Net& net) {
  std::vector<Parameter> all;
  for (const auto& leaf : net.leaves) {
    all.emplace_back();
    all.back().name = fmt::format("leaf{}", all.size());
    all.back().value = leaf.detach();
  }
  return all;
}

// Three steps of Momentum with the reducer, by ShardedOptimizer or, every sum sent to all ranks, by the whole rule; returns the net.
Net trained(bool sharded, std::unique_ptr<ShardedOptimizer>* kept = nullptr) {
  Net net(ranks().device());
  auto whole = std::make_unique<Momentum>(parameters_of(net));
  auto optimizer = std::make_unique<ShardedOptimizer>(std::make_unique<Momentum>(parameters_of(net)), shared_ranks());
  const auto owners = optimizer->owners();
  GradientReducer reducer(net.leaves, shared_ranks(), {.bytes = 1000, .owners = owners});
  for (int64_t step = 1; step <= 3; ++step) {
    run_micro_batches(net, reducer, ranks().rank());
    reducer.finish();
    std::vector<size_t> which;
    std::vector<torch::Tensor> grads;
    for (size_t i = 0; i < net.leaves.size(); ++i) {
      if (!reducer.used(i)) continue;
      which.push_back(i);
      grads.push_back(net.leaves[i].grad());
      if (sharded) continue;
      if (owners[i] != ranks().rank()) grads.back() = torch::empty(net.leaves[i].sizes(), net.leaves[i].device());
      ranks().broadcast(grads.back(), owners[i]);
    }
    Optimizer& rule = sharded ? static_cast<Optimizer&>(*optimizer) : *whole;
    rule.update(which, grads, {.step = step, .lr = 1e-3});
  }
  if (kept != nullptr) *kept = std::move(optimizer);
  return net;
}

}  // namespace

TEST(DISABLED_GradientsOnRanks, SumsEqualThoseOfOneProcess) {
  const auto expected = whole_gradients(ranks().size());
  for (const int64_t bytes : {1, 1000, 1 << 20}) {
    const Net net(ranks().device());
    GradientReducer reducer(net.leaves, shared_ranks(), {.bytes = bytes});
    for (int step = 0; step < 2; ++step) {
      run_micro_batches(net, reducer, ranks().rank());
      reducer.finish();
      for (size_t i = 0; i < net.leaves.size(); ++i) expect_close(net.leaves[i].grad(), expected[i], 1e-6);
      EXPECT_TRUE(reducer.used(3)) << "used by odd ranks";
      EXPECT_FALSE(reducer.used(4)) << "used by no rank";
    }
  }
}

TEST(DISABLED_GradientsOnRanks, OwnersAloneGetTheirSums) {
  const auto expected = whole_gradients(ranks().size());
  const Net net(ranks().device());
  std::vector<int64_t> owners;
  for (size_t i = 0; i < net.leaves.size(); ++i) owners.push_back(static_cast<int64_t>(i + 1) % ranks().size());
  GradientReducer reducer(net.leaves, shared_ranks(), {.bytes = 3000, .owners = owners});
  for (int step = 0; step < 2; ++step) {
    run_micro_batches(net, reducer, ranks().rank());
    reducer.finish();
    for (size_t i = 0; i < net.leaves.size(); ++i)
      expect_close(net.leaves[i].grad(), owners[i] == ranks().rank() ? expected[i] : torch::Tensor(), 1e-6);
  }
}

TEST(DISABLED_GradientsOnRanks, BucketsSetOffWhileTheBackwardPassRuns) {
  const Net net(ranks().device());
  GradientReducer reducer(net.leaves, shared_ranks(), {.bytes = 1});
  ASSERT_EQ(reducer.buckets(), net.leaves.size());
  size_t at_first_layer = 0;
  const auto watch = [&] { at_first_layer = reducer.started(); };
  reducer.expect(false);
  net.loss(rows(0, 0, net), true, watch).backward();
  EXPECT_EQ(reducer.started(), 0U) << "more micro-batches follow";
  reducer.expect(true);
  // The last leaf is used by nobody: give it a gradient so that the buckets behind it can set off in order.
  const auto loss = net.loss(rows(0, 0, net), true, watch);
  (loss + net.leaves[4].sum()).backward();  // the sum was made last, so its gradient comes first
  EXPECT_GE(at_first_layer, 2U) << "the head's and the gain's sums were under way before the first layer's gradient was made";
  EXPECT_LT(at_first_layer, reducer.buckets());
  EXPECT_EQ(reducer.started(), reducer.buckets());
  reducer.finish();
}

TEST(DISABLED_GradientsOnRanks, Bfloat16GradientsAccumulateInFloat32) {
  const auto expected = whole_gradients(ranks().size());
  const Net net(ranks().device(), torch::kBFloat16);
  GradientReducer reducer(net.leaves, shared_ranks());
  run_micro_batches(net, reducer, ranks().rank());
  reducer.finish();
  for (size_t i = 0; i < net.leaves.size(); ++i) expect_close(net.leaves[i].grad(), expected[i], 0.03);
}

TEST(DISABLED_GradientsOnRanks, AStepThatWasGivenUpLeavesNothing) {
  const auto expected = whole_gradients(ranks().size());
  const Net net(ranks().device());
  GradientReducer reducer(net.leaves, shared_ranks());
  reducer.expect(false);
  net.loss(rows(5, 5, net), true).backward();
  reducer.forget();
  run_micro_batches(net, reducer, ranks().rank());
  reducer.finish();
  for (size_t i = 0; i < net.leaves.size(); ++i) expect_close(net.leaves[i].grad(), expected[i], 1e-6);
}

TEST(DISABLED_GradientsOnRanks, ShardedUpdatesEqualWholeOnesBitForBit) {
  const Net whole = trained(false), sharded = trained(true);
  for (size_t i = 0; i < whole.leaves.size(); ++i) EXPECT_TRUE(whole.leaves[i].cpu().equal(sharded.leaves[i].cpu())) << i;
}

TEST(DISABLED_GradientsOnRanks, StatesGatherOnRankZeroAndLoadAnywhere) {
  std::unique_ptr<ShardedOptimizer> optimizer;
  const Net net = trained(true, &optimizer);
  int64_t bytes = 0;
  for (size_t i = 0; i < net.leaves.size(); ++i) bytes += optimizer->state_bytes(i);
  auto total = torch::tensor({bytes});
  ranks().all_reduce(total);
  int64_t expected = 0;
  for (const auto& leaf : net.leaves) expected += 8 + static_cast<int64_t>(leaf.nbytes());
  EXPECT_EQ(total.item<int64_t>(), expected) << "every state lives once";
  optimizer->gather_states();
  if (ranks().rank() == 0) {
    ShardedOptimizer fresh(std::make_unique<Momentum>(parameters_of(net)), alone());
    for (size_t i = 0; i < 4; ++i) {
      ASSERT_EQ(optimizer->state(i).size(), 2U) << i;
      EXPECT_EQ(optimizer->state(i)[0].second.item<int64_t>(), 3);
      EXPECT_EQ(optimizer->state(i)[1].first, "momentum");
      EXPECT_GT(optimizer->state(i)[1].second.abs().sum().item<double>(), 0.0);
      fresh.load_state(i, optimizer->state(i));
      EXPECT_TRUE(fresh.state(i)[1].second.cpu().equal(optimizer->state(i)[1].second.cpu()));
    }
    EXPECT_TRUE(optimizer->state(4).empty()) << "never updated";
  }
  optimizer->release_states();
}

TEST(Gradients, EqualOneProcessOnTwoRanks) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(2, "DISABLED_GradientsOnRanks.*");
}

TEST(Gradients, EqualOneProcessOnFourRanks) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(4, "DISABLED_GradientsOnRanks.*");
}

TEST(Gradients, EqualOneProcessOnADeviceThatIsNotTheCpu) {
  SKIP_WITHOUT_MPIRUN();
  expect_on_ranks(2, "DISABLED_GradientsOnRanks.*", RanksOn::other_device);
}

TEST(Gradients, EqualOneProcessOnTwoGpus) {
  SKIP_WITHOUT_MPIRUN();
  SKIP_WITHOUT_GPUS(2);
  expect_on_ranks(2, "DISABLED_GradientsOnRanks.*", RanksOn::gpus);
}

TEST(Gradients, OneProcessAloneNeedsNoOther) {
  const auto expected = whole_gradients(1);
  const Net net;
  GradientReducer reducer(net.leaves, alone());
  run_micro_batches(net, reducer, 0);
  reducer.finish();
  for (size_t i = 0; i < net.leaves.size(); ++i) expect_close(net.leaves[i].grad(), expected[i], 1e-6);
}

TEST(BalancedOwners, GiveEveryRankAboutTheSameBytes) {
  EXPECT_EQ(balanced_owners({10, 7, 5, 4}, 2), (std::vector<int64_t>{0, 1, 1, 0}));
  EXPECT_EQ(balanced_owners({1, 1, 1}, 1), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_TRUE(balanced_owners({}, 4).empty());
}

}  // namespace tessera::train
