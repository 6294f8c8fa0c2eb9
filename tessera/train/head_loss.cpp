#include "tessera/train/head_loss.h"

#include "tessera/base/error.h"
#include "tessera/kernels/cross_entropy_grad.h"
#include "tessera/train/head_rows.h"

namespace tessera::train {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [n] nats, and softmax - one-hot written over `logits` (rows without target: 0).
torch::Tensor losses_and_gradient(torch::Tensor& logits, const torch::Tensor& targets) {
  if (kernels::cross_entropy_grad_takes(logits)) return kernels::cross_entropy_grad_(logits, targets);
  const auto wide = logits.to(torch::kFloat32).log_softmax(-1);
  const auto rows = targets.clamp_min(0).unsqueeze(-1), counted = targets.ge(0).unsqueeze(-1);
  auto nats = wide.gather(-1, rows).neg().masked_fill(counted.logical_not(), 0.0).squeeze(-1);
  logits.copy_(wide.exp().scatter_add(-1, rows, torch::full(rows.sizes(), -1.0, wide.options())).mul_(counted));
  return nats;
}

// The same of nats + z log(Z)^2, whose gradient is 2 z log(Z) softmax more.
torch::Tensor losses_and_gradient(torch::Tensor& logits, const torch::Tensor& targets, double z) {
  if (z == 0.0) return losses_and_gradient(logits, targets);
  const auto rows = targets.clamp_min(0).unsqueeze(-1);
  const auto of_target = logits.gather(-1, rows).squeeze(-1).to(torch::kFloat32);
  const auto nats = losses_and_gradient(logits, targets);
  const auto log_z = (nats + of_target).masked_fill_(targets.lt(0), 0.0);
  const auto more = (2.0 * z * log_z).unsqueeze(-1);
  logits.mul_(more + 1.0).scatter_add_(-1, rows, more.to(logits.scalar_type()));
  return nats + z * log_z.square();
}

// sum [V, D] float32 += logits^T h. Products in bfloat16 are added some rows at a time: a sum of two types takes a float32 copy.
void add_product(torch::Tensor& sum, const torch::Tensor& logits, const torch::Tensor& h) {
  if (h.scalar_type() == torch::kFloat32) {
    sum.addmm_(logits.t(), h);
    return;
  }
  const int64_t rows = std::max<int64_t>(1, (int64_t{4} << 20) / sum.size(1));
  for (int64_t i = 0; i < sum.size(0); i += rows) {
    const int64_t n = std::min(rows, sum.size(0) - i);
    sum.narrow(0, i, n).add_(at::mm(logits.narrow(1, i, n).t(), h));
  }
}

struct HeadLoss : torch::autograd::Function<HeadLoss> {
  static torch::Tensor forward(AutogradContext* ctx, const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets,
                               int64_t chunk, double z) {
    const bool for_hidden = hidden.requires_grad(), for_weight = weight.requires_grad();
    const auto total = torch::zeros({}, hidden.options().dtype(torch::kFloat64).requires_grad(false));
    auto d_hidden = for_hidden ? torch::empty_like(hidden) : torch::Tensor();
    auto d_weight = for_weight ? torch::zeros_like(weight, torch::kFloat32) : torch::Tensor();
    for (int64_t i = 0; i < hidden.size(0); i += chunk) {
      const int64_t n = std::min(chunk, hidden.size(0) - i);
      const auto h = hidden.narrow(0, i, n);
      auto logits = at::linear(h, weight);
      total.add_(losses_and_gradient(logits, targets.narrow(0, i, n), z).sum(torch::kFloat64));
      if (for_hidden) {
        auto rows = d_hidden.narrow(0, i, n);
        at::mm_out(rows, logits, weight);
      }
      if (!for_weight) continue;
      add_product(d_weight, logits, h);
    }
    ctx->saved_data["spent"] = false;
    ctx->save_for_backward({d_hidden, d_weight.defined() ? d_weight.to(weight.scalar_type()) : d_weight});
    return total.to(torch::kFloat32);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& dy) {
    if (std::exchange(ctx->saved_data["spent"], true).toBool())
      throw InputError("head_loss: its gradient goes back once, in the memory that the forward pass made; compute the loss again");
    const auto saved = ctx->get_saved_variables();
    const auto scaled = [&](const torch::Tensor& t) { return t.defined() ? t.mul_(dy[0].to(t.scalar_type())) : t; };
    return {scaled(saved[0]), scaled(saved[1]), {}, {}, {}};
  }
};

}  // namespace

torch::Tensor head_loss(const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets,
                        const HeadLossOptions& options) {
  const int64_t chunk = head_rows("head_loss", hidden, weight, targets, options.chunk);
  if (!torch::GradMode::is_enabled()) return HeadLoss::apply(hidden.detach(), weight.detach(), targets, chunk, options.z_loss);
  return HeadLoss::apply(hidden, weight, targets, chunk, options.z_loss);
}

}  // namespace tessera::train
