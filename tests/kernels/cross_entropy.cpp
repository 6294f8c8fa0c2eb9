#include "tessera/kernels/cross_entropy.h"

#include "tessera/base/error.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

static torch::Tensor entropy_by_definition(const torch::Tensor& logits, const torch::Tensor& targets) {
  return -torch::log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).squeeze(1);
}

TEST(CrossEntropy, ErrsAtMostTwiceAsMuchAsItsDefinition) {
  torch::NoGradGuard no_grad;
  on_every_target([] {
    for (auto dtype : {torch::kFloat32, torch::kBFloat16}) {
      for (int64_t classes : {1, 2, 15, 33, 64, 1000}) {
        torch::manual_seed(classes);
        const auto logits = (torch::randn({9, classes}) * 8 + 50).to(dtype);
        const auto targets = torch::randint(classes, {9}, torch::kInt64);
        const auto wide = logits.to(torch::kFloat32);
        expect_close(cross_entropy(logits, targets), entropy_by_definition(wide, targets),
                     entropy_by_definition(wide.to(torch::kDouble), targets));
      }
    }
  });
}

TEST(CrossEntropy, SkipsNegativeTargetsAndRefusesWrongOnes) {
  torch::NoGradGuard no_grad;
  const auto logits = torch::randn({3, 5});
  const auto nats = cross_entropy(logits, torch::tensor({int64_t{1}, int64_t{-100}, int64_t{4}}));
  EXPECT_EQ(nats[1].item<float>(), 0.0F);
  EXPECT_GT(nats[2].item<float>(), 0.0F);
  EXPECT_THROW(cross_entropy(logits, torch::tensor({int64_t{1}, int64_t{5}, int64_t{4}})), InputError);
  EXPECT_THROW(cross_entropy(logits, torch::tensor({int64_t{1}, int64_t{2}})), InputError);
}

}  // namespace tessera::kernels
