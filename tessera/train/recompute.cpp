#include "tessera/train/recompute.h"

namespace tessera::train {

namespace {

using Part = std::function<torch::Tensor(const torch::Tensor&)>;

struct PartHolder : torch::CustomClassHolder {
  explicit PartHolder(Part given) : part(std::move(given)) {}
  Part part;
};

struct Recompute : torch::autograd::Function<Recompute> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& x, const Part& part) {
    ctx->save_for_backward({x});
    ctx->saved_data["part"] = c10::IValue::make_capsule(c10::make_intrusive<PartHolder>(part));
    return part(x);  // autograd is off inside forward
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, const torch::autograd::variable_list& dy) {
    const auto holder = c10::static_intrusive_pointer_cast<PartHolder>(ctx->saved_data["part"].toCapsule());
    const auto x = ctx->get_saved_variables()[0].detach().requires_grad_(true);
    {
      torch::AutoGradMode record(true);
      torch::autograd::backward({holder->part(x)}, {dy[0]});
    }
    return {x.grad(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor recomputed(const Part& part, const torch::Tensor& x) {
  if (!torch::GradMode::is_enabled() || !x.requires_grad()) return part(x);
  return Recompute::apply(x, part);
}

}  // namespace tessera::train
