// Recomputation, the head's loss, gradients' norms.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tessera/base/error.h"
#include "tessera/train/gradients.h"
#include "tessera/train/head_loss.h"
#include "tessera/train/recompute.h"

namespace tessera::train {

TEST(Recompute, GivesTheSameValuesAndGradientsBitForBit) {
  torch::manual_seed(1);
  const auto w = torch::randn({6, 6}).requires_grad_(true), x = torch::randn({4, 6}).requires_grad_(true);
  int runs = 0;
  const auto part = [&](const torch::Tensor& t) {
    ++runs;
    return torch::tanh(torch::mm(t, w)) + t;
  };
  const auto gradients_of = [&](const torch::Tensor& y) {
    w.mutable_grad().reset();
    x.mutable_grad().reset();
    y.square().sum().backward();
    return std::vector<torch::Tensor>{y.detach(), w.grad().clone(), x.grad().clone()};
  };
  const auto plain = gradients_of(part(part(x)));
  runs = 0;
  const auto ours = gradients_of(recomputed(part, recomputed(part, x)));
  EXPECT_EQ(runs, 4);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(torch::equal(plain[i], ours[i])) << i;
}

static std::vector<torch::Tensor> head_by_definition(torch::Tensor hidden, torch::Tensor weight, const torch::Tensor& targets,
                                                     double z = 0.0) {
  hidden = hidden.detach().to(torch::kDouble).requires_grad_(true);
  weight = weight.detach().to(torch::kDouble).requires_grad_(true);
  const auto logits = torch::mm(hidden, weight.t()), log_z = logits.logsumexp(1);
  const auto nats = log_z - logits.gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1);
  const auto loss = (nats + z * log_z.square()).masked_fill(targets.lt(0), 0.0).sum();
  (loss * 0.125).backward();
  return {loss.detach(), hidden.grad(), weight.grad()};
}

TEST(HeadLoss, EqualsItsDefinitionWhateverTheChunk) {
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    torch::manual_seed(2);
    const auto hidden = torch::randn({37, 16}).to(dtype).requires_grad_(true);
    const auto weight = torch::randn({101, 16}).to(dtype).requires_grad_(true);
    auto targets = torch::randint(101, {37}, torch::kInt64);
    targets[5] = -1;
    targets[36] = -100;
    const double slack = dtype == torch::kFloat32 ? 1e-5 : 2e-2;
    for (const auto& [chunk, z] : {std::pair{0, 0.0}, {1, 0.0}, {10, 0.0}, {64, 0.0}, {0, 0.3}, {10, 0.3}}) {
      const auto exact = head_by_definition(hidden, weight, targets, z);
      hidden.mutable_grad().reset();
      weight.mutable_grad().reset();
      const auto loss = head_loss(hidden, weight, targets, {.chunk = chunk, .z_loss = z});
      loss.backward(torch::scalar_tensor(0.125));
      const auto error = [](const torch::Tensor& ours, const torch::Tensor& expected) {
        return ((ours.to(torch::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
      };
      EXPECT_LE(error(loss.detach(), exact[0]), slack);
      EXPECT_LE(error(hidden.grad(), exact[1]), slack) << chunk;
      EXPECT_LE(error(weight.grad(), exact[2]), slack) << chunk;
      EXPECT_EQ(hidden.grad()[5].abs().max().item<double>(), 0.0);
    }
  }
}

TEST(HeadLoss, NeedsNoGradientToGiveAValueAndRefusesWrongShapes) {
  torch::NoGradGuard no_grad;
  const auto hidden = torch::randn({3, 4}).requires_grad_(true), weight = torch::randn({5, 4});
  const auto targets = torch::tensor({int64_t{0}, int64_t{4}, int64_t{-1}});
  EXPECT_FALSE(head_loss(hidden, weight, targets).requires_grad());
  EXPECT_THROW(head_loss(hidden, torch::randn({5, 3}), targets), InputError);
  EXPECT_THROW(head_loss(hidden, weight, targets.narrow(0, 0, 2)), InputError);
  EXPECT_THROW(head_loss(hidden, weight, torch::tensor({int64_t{0}, int64_t{5}, int64_t{1}})), InputError);
}

TEST(Gradients, NormClipAndTheFirstThatIsNotFinite) {
  std::vector<torch::Tensor> all{torch::full({3, 4}, 2.0), torch::Tensor(), torch::full({100'000}, 0.01)};
  const double norm = global_norm(all);
  EXPECT_NEAR(norm, std::sqrt(48.0 + 10.0), 1e-5);
  EXPECT_FALSE(first_not_finite(all));
  EXPECT_DOUBLE_EQ(clip(all, norm, 100.0), 1.0);
  clip(all, norm, 1.0);
  EXPECT_NEAR(global_norm(all), 1.0, 1e-5);
  all[2][77'777] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(global_norm(all)));
  EXPECT_EQ(first_not_finite(all), 2U);
}

}  // namespace tessera::train
