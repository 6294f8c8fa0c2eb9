// What an update takes beside its state: what workspace_bytes says, beside what the tensors' allocator gave.
#include <c10/core/CPUAllocator.h>

#include <mutex>
#include <unordered_map>

#include "tessera/train/plan.h"
#include "tests/train/optim_cases.h"

namespace tessera::train {
namespace {

// LibTorch's memory, counted. Blocks may be freed after their test, so the one object lives on.
class CountedMemory final : public at::Allocator {
 public:
  static CountedMemory& get() {
    static auto* memory = new CountedMemory;
    return *memory;
  }
  at::DataPtr allocate(size_t bytes) override {
    void* begin = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    const std::lock_guard lock(mutex_);
    sizes_[begin] = static_cast<int64_t>(bytes);
    now_ += static_cast<int64_t>(bytes);
    peak_ = std::max(peak_, now_);
    return {begin, begin, &give_back, at::kCPU};
  }
  at::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

  // The most that `work` held above what there was before it.
  int64_t most_during(const std::function<void()>& work) {
    auto* before = c10::GetCPUAllocator();
    c10::SetCPUAllocator(this);
    const int64_t start = peak_ = now_;
    work();
    c10::SetCPUAllocator(before);
    return peak_ - start;
  }

 private:
  static void give_back(void* begin) {
    auto& memory = get();
    {
      const std::lock_guard lock(memory.mutex_);
      const auto found = memory.sizes_.find(begin);
      memory.now_ -= found->second;
      memory.sizes_.erase(found);
    }
    c10::GetDefaultCPUAllocator()->raw_deallocate(begin);
  }
  std::mutex mutex_;
  std::unordered_map<void*, int64_t> sizes_;
  int64_t now_ = 0, peak_ = 0;
};

struct Workspace {
  int64_t said = 0, taken = 0;
};

// Of the second update, which looks for a subspace again, from the first one's.
Workspace workspace_of(OptimOptions options, const std::vector<int64_t>& shape, bool matrix, torch::Dtype value, torch::Dtype grad) {
  torch::manual_seed(3);
  std::vector<Parameter> parameters{{.name = "w", .value = torch::randn(shape).to(value), .weight_decay = 0.1, .matrix = matrix},
                                    {.name = "other", .value = torch::randn({8, 8}), .matrix = true}};
  const auto optimizer = make_optimizer(options, std::move(parameters));
  const torch::Tensor gradient = torch::randn(shape).to(grad);
  const auto update = [&](int64_t step) { optimizer->update({{0}}, {&gradient, 1}, {.step = step, .lr = 0.01}); };
  update(1);
  return {optimizer->workspace_bytes(0, grad), CountedMemory::get().most_during([&] { update(2); })};
}

std::string workspace_text(const OptimOptions& options, const std::vector<int64_t>& shape) {
  return fmt::format("{} {} x {}, svd {}, projection {}, kept as {}", options.name, shape[0], shape[1],
                     static_cast<int>(options.svd.value_or(Svd::gram)), static_cast<int>(options.projection.value_or(Projection::standard)),
                     static_cast<int>(options.projector_dtype.value_or(ProjectorDtype::float32)));
}

TEST(Workspace, OfASearchIsWhatItAllocates) {
  const auto check = [](const OptimOptions& options, const std::vector<int64_t>& shape, torch::Dtype value, torch::Dtype grad) {
    SCOPED_TRACE(workspace_text(options, shape));
    const auto [said, taken] = workspace_of(options, shape, true, value, grad);
    const int64_t side = std::min(shape[0], shape[1]);
    const int64_t lapack = 16 * side * side;  // what gesdd and syevd take by themselves
    EXPECT_LE(taken, said * 1.01 + 3e4);
    EXPECT_GE(taken + lapack, said * 0.98);
  };
  for (const Svd svd : {Svd::exact, Svd::gram, Svd::randomized}) {
    for (const auto& shape : {std::vector<int64_t>{300, 200}, {200, 300}, {250, 250}}) {
      for (const auto projection : {Projection::standard, Projection::reverse_standard, Projection::full}) {
        const OptimOptions options{.name = "galore-adamw", .rank = 60, .gap = 1, .projection = projection, .svd = svd};
        check(options, shape, torch::kFloat32, torch::kFloat32);
        check(options, shape, torch::kFloat32, torch::kBFloat16);
      }
    }
    for (const auto dtype : {ProjectorDtype::bfloat16, ProjectorDtype::int8, ProjectorDtype::int4}) {
      const OptimOptions options{.name = "galore-adamw8bit", .rank = 60, .gap = 1, .svd = svd, .projector_dtype = dtype};
      check(options, {300, 200}, torch::kBFloat16, torch::kBFloat16);
    }
  }
}

class WorkspaceOf : public testing::TestWithParam<std::string> {};

// Those that move in place take nothing; the others at most what they say, and not much less.
TEST_P(WorkspaceOf, APlainUpdateIsWhatItAllocates) {
  for (const bool matrix : {false, true}) {
    for (const auto value : {torch::kFloat32, torch::kBFloat16}) {
      for (const auto grad : {torch::kFloat32, torch::kBFloat16}) {
        OptimOptions options{.name = GetParam()};
        const bool searches = matrix && GetParam().starts_with("galore");
        if (GetParam().starts_with("galore")) options.gap = 1000, options.rank = 32;
        SCOPED_TRACE(fmt::format("{}matrix, value {}, gradient {}", matrix ? "" : "no ", torch::toString(value), torch::toString(grad)));
        const auto [said, taken] = workspace_of(options, {320, 192}, matrix, value, grad);
        EXPECT_LE(taken, said * 1.01 + 3e4);
        EXPECT_GE(taken, searches ? 0.0 : said * 0.6) << "only the first of a thousand updates searches";
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(All, WorkspaceOf, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& each : optim_names()) names.push_back(each.name);
                           return names;
                         }()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(StepMemory, IsTheLargerOfItsPhases) {
  const StepMemory step{.gradients = 100, .activations = 70, .head = 20, .workspace = 15, .updating = 40};
  EXPECT_EQ(step.peak(), 115) << "all gradients and the workspace, after the activations are gone";
  auto many = step;
  many.activations = 200;
  EXPECT_EQ(many.peak(), 220) << "the loss, before there are gradients";
  many.sums = 100;
  EXPECT_EQ(many.peak(), 320) << "and those of earlier micro-batches";
  auto layered = step;
  layered.per_layer = true;
  EXPECT_EQ(layered.peak(), 110) << "one gradient with its workspace beside the activations";
  layered.tied = 5;
  EXPECT_EQ(layered.peak(), 115) << "with the head's gradient, which waits for the embedding's";
  layered.head = 60;
  EXPECT_EQ(layered.peak(), 130) << "the head's loss";
}

TEST(StepMemory, CountsTheLargestWorkspace) {
  const auto count = [](Svd svd, bool per_layer) {
    std::vector<Parameter> shapes{{.name = "embed", .value = torch::empty({1000, 64}, torch::device(torch::kMeta))},
                                  {.name = "up", .value = torch::empty({256, 64}, torch::device(torch::kMeta)), .matrix = true},
                                  {.name = "q", .value = torch::empty({64, 64}, torch::device(torch::kMeta)), .matrix = true}};
    const auto largest = make_optimizer({.name = "galore-adamw", .rank = 16, .svd = svd}, shapes)->workspace_bytes(1, torch::kFloat32);
    const auto counted = count_trained(shapes, {}, {.name = "galore-adamw", .rank = 16, .svd = svd}, {.per_layer = per_layer});
    EXPECT_EQ(counted.step.workspace, largest);
    EXPECT_EQ(counted.step.updating, std::max<int64_t>(4 * 64000, 4 * 256 * 64 + largest));
    return counted.step;
  };
  EXPECT_GT(count(Svd::exact, false).workspace, count(Svd::randomized, false).workspace);
  EXPECT_EQ(count(Svd::gram, true).gradients, 4 * 64000);
  EXPECT_EQ(count(Svd::gram, false).gradients, 4 * (64000 + 256 * 64 + 64 * 64));
}

TEST(StepMemory, APlanThatDoesNotFitSaysWhatHelps) {
  TrainPlan plan;
  plan.weights = 3'000'000'000;
  plan.activations = 2'000'000'000;
  check_fits(plan, 5'000'000'000, "--batch");
  EXPECT_EQ(
      optim_error([&] { check_fits(plan, 4'000'000'000, "--batch"); }),
      "training this model takes about 5.0 GB (2.0 of it activations), and this machine allows 4.0; give a smaller --batch, --recompute, "
      "--per-layer, --dtype bf16 or a rule with less state");
}

}  // namespace
}  // namespace tessera::train
