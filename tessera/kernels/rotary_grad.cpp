#include "tessera/kernels/rotary_grad.h"

#include "tessera/kernels/rotary.h"

namespace tessera::kernels {

namespace {

struct RotaryTrain : torch::autograd::Function<RotaryTrain> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& x, const torch::Tensor& cos,
                               const torch::Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return rotary(x, cos, sin);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, const torch::autograd::variable_list& dy) {
    const auto saved = ctx->get_saved_variables();
    const auto slope = dy[0].stride(-1) == 1 ? dy[0] : dy[0].contiguous();
    return {rotary(slope, saved[0], saved[1].neg()), {}, {}};
  }
};

}  // namespace

bool rotary_train_takes(const torch::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16) && x.dim() == 4 &&
         x.stride(-1) == 1;
}

torch::Tensor rotary_train(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  return RotaryTrain::apply(x, cos, sin);
}

}  // namespace tessera::kernels
