#include "tessera/train/across_ranks.h"

#include <cmath>

#include "tessera/train/gradients.h"

namespace tessera::train {

// Wraps what `optimizer` holds and returns the wrapper, which stays in its place.
static ShardedOptimizer& shard(std::unique_ptr<Optimizer>& optimizer, const std::shared_ptr<Collective>& ranks) {
  auto sharded = std::make_unique<ShardedOptimizer>(std::move(optimizer), ranks);
  auto& result = *sharded;
  optimizer = std::move(sharded);
  return result;
}

AcrossRanks::AcrossRanks(std::vector<torch::Tensor> leaves, std::unique_ptr<Optimizer>& optimizer, std::shared_ptr<Collective> ranks)
    : ranks_(std::move(ranks)),
      sharded_(shard(optimizer, ranks_)),
      reducer_(std::move(leaves), ranks_, BucketOptions{.owners = sharded_.owners()}) {}

void AcrossRanks::share_start(const std::vector<Parameter>& parameters, Collective& ranks) {
  torch::NoGradGuard no_grad;
  for (const auto& parameter : parameters) {
    const auto whole = parameter.value.detach().contiguous();
    ranks.broadcast(whole, 0);
    if (!whole.is_alias_of(parameter.value)) parameter.value.detach().copy_(whole);
  }
}

std::vector<int64_t> AcrossRanks::sum(const std::vector<int64_t>& values) const {
  auto all = torch::tensor(values, torch::kInt64);
  ranks_->all_reduce(all);
  return {all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel()};
}

// Ranks send float32: the value and what the rounding to float32 left of it.
double AcrossRanks::sum(double value) const {
  const auto high = static_cast<float>(value);
  const auto low = std::isfinite(value) ? static_cast<float>(value - static_cast<double>(high)) : 0.0F;
  auto parts = torch::zeros({ranks_->size(), 2}, torch::kFloat32);  // a place for each rank: the additions are exact
  parts[ranks_->rank()][0] = high;
  parts[ranks_->rank()][1] = low;
  ranks_->all_reduce(parts);
  return parts.sum(torch::kFloat64).item<double>();
}

double AcrossRanks::norm(std::span<const torch::Tensor> gradients) const {
  double own = 0.0;
  for (const auto& gradient : gradients) own += sum_of_squares(gradient);
  return std::sqrt(sum(own));
}

}  // namespace tessera::train
