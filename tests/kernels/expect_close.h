#pragma once
// How kernel tests judge: on every instruction set, against the definition in float64, with the definition in the kernel's own dtype as
// bar.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <hwy/targets.h>
#include <functional>

namespace tessera::kernels {

// Runs `body` once for every instruction set this CPU has, then allows all again.
inline void on_every_target(const std::function<void()>& body) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// At most twice the error of the plain definition in the same dtype, plus a small slack in units of the output's scale.
inline void expect_close(const torch::Tensor& ours, const torch::Tensor& plain, const torch::Tensor& exact) {
  ASSERT_EQ(ours.sizes(), exact.sizes());
  const auto worst = [&](const torch::Tensor& t) { return (t.to(torch::kDouble) - exact).abs().max().item<double>(); };
  EXPECT_LE(worst(ours), 2 * worst(plain) + 2e-6 * exact.abs().max().item<double>());
}

}  // namespace tessera::kernels
