// The kernels of training beside their definitions: values and gradients on every instruction set, rows around a vector's width.
#include "tessera/kernels/cross_entropy_grad.h"
#include "tessera/kernels/gated_activation_grad.h"
#include "tessera/kernels/rms_norm_grad.h"
#include "tessera/kernels/rotary_grad.h"
#include "tests/kernels/expect_close.h"

namespace tessera::kernels {

using Tensors = std::vector<torch::Tensor>;
using Operation = std::function<torch::Tensor(const Tensors&)>;

// y and the gradients of all inputs for a fixed slope of y.
static Tensors y_and_gradients(const Operation& operation, const Tensors& inputs, const torch::Tensor& slope) {
  Tensors leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().requires_grad_(true));
  const auto y = operation(leaves);
  y.backward(slope.to(y.scalar_type()));
  Tensors all{y.detach()};
  for (const auto& leaf : leaves) all.push_back(leaf.grad());
  return all;
}

static void expect_as_defined(const Operation& ours, const Operation& definition, const Tensors& inputs, const torch::Tensor& slope) {
  Tensors wide;
  for (const auto& input : inputs) wide.push_back(input.to(torch::kDouble));
  const auto mine = y_and_gradients(ours, inputs, slope), plain = y_and_gradients(definition, inputs, slope),
             exact = y_and_gradients(definition, wide, slope.to(torch::kDouble));
  for (size_t i = 0; i < mine.size(); ++i) {
    SCOPED_TRACE(fmt::format("tensor {}", i));
    expect_close(mine[i], plain[i], exact[i]);
  }
}

TEST(TrainingKernels, RmsNorm) {
  on_every_target([] {
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const int64_t width : {1, 7, 16, 33, 256}) {
        torch::manual_seed(width);
        const Tensors inputs{torch::randn({3, 7, width}).to(dtype), torch::randn({width}).to(dtype)};
        const auto definition = [](const Tensors& t) { return t[0] * torch::rsqrt(t[0].square().mean(-1, true) + 1e-5) * (t[1] + 1.0); };
        expect_as_defined([](const Tensors& t) { return rms_norm_train(t[0], t[1], 1e-5, 1.0); }, definition, inputs,
                          torch::randn({3, 7, width}).to(dtype));
      }
  });
}

TEST(TrainingKernels, GatedSilu) {
  on_every_target([] {
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const int64_t width : {1, 9, 16, 40}) {
        torch::manual_seed(width);
        const Tensors inputs{(torch::randn({5, 2 * width}) * 4).to(dtype)};
        const auto definition = [](const Tensors& t) {
          const auto halves = t[0].chunk(2, -1);
          return torch::silu(halves[0]) * halves[1];
        };
        expect_as_defined([](const Tensors& t) { return gated_silu_train(t[0]); }, definition, inputs, torch::randn({5, width}).to(dtype));
      }
  });
  auto extreme = torch::tensor({-200.0F, 200.0F, 3.0F, 5.0F}).view({1, 4}).requires_grad_(true);
  gated_silu_train(extreme).sum().backward();
  EXPECT_TRUE(extreme.grad().isfinite().all().item<bool>());
}

TEST(TrainingKernels, Rotary) {
  const auto angles = torch::rand({1, 6, 4}) * 6.0;
  const auto cos = angles.cos(), sin = angles.sin();
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    const Tensors inputs{torch::randn({2, 6, 3, 8}).to(dtype)};
    const auto definition = [&](const Tensors& t) {
      const auto c = cos.unsqueeze(2).to(t[0].scalar_type()), s = sin.unsqueeze(2).to(t[0].scalar_type());
      const auto a = t[0].narrow(3, 0, 4), b = t[0].narrow(3, 4, 4);
      return torch::cat({a * c - b * s, b * c + a * s}, 3);
    };
    expect_as_defined([&](const Tensors& t) { return rotary_train(t[0], cos, sin); }, definition, inputs,
                      torch::randn({2, 6, 3, 8}).to(dtype));
  }
}

TEST(TrainingKernels, CrossEntropyWithItsGradient) {
  torch::NoGradGuard no_grad;
  on_every_target([] {
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const int64_t classes : {1, 2, 15, 33, 1000}) {
        torch::manual_seed(classes);
        const auto logits = (torch::randn({9, classes}) * 8 + 50).to(dtype);
        auto targets = torch::randint(classes, {9}, torch::kInt64);
        targets[4] = -1;
        auto ours = logits.clone();
        const auto nats = cross_entropy_grad_(ours, targets);
        const auto by_definition = [&](torch::Dtype wide) {
          const auto log = logits.to(wide).log_softmax(1);
          auto gradient = log.exp();
          auto loss = torch::zeros({9}, wide);
          for (int64_t r = 0; r < 9; ++r) {
            if (r == 4) {
              gradient[r].zero_();
              continue;
            }
            loss[r] = -log[r][targets[r].item<int64_t>()];
            gradient[r][targets[r].item<int64_t>()] -= 1.0;
          }
          return std::pair{loss, gradient};
        };
        const auto plain = by_definition(torch::kFloat32), exact = by_definition(torch::kDouble);
        expect_close(nats, plain.first, exact.first);
        expect_close(ours, plain.second.to(dtype), exact.second);
      }
  });
}

}  // namespace tessera::kernels
