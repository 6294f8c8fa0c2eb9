#include "tessera/nn/joint_linear.h"

namespace tessera::nn {

namespace {

using torch::autograd::variable_list;

struct JointLinear : torch::autograd::Function<JointLinear> {
  // Weights are arguments of their own: a list would not be differentiated. Of two layers `third` is a placeholder.
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& x, const torch::Tensor& joined,
                               const torch::Tensor& first, const torch::Tensor& second, const torch::Tensor& third, bool three) {
    ctx->save_for_backward({x, joined});
    ctx->saved_data["rows"] = std::vector<int64_t>{first.size(0), second.size(0), three ? third.size(0) : 0};
    ctx->saved_data["trained"] = first.requires_grad() || second.requires_grad() || third.requires_grad();
    return at::linear(x, joined);
  }
  static variable_list backward(torch::autograd::AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto dy = gradients[0].reshape({-1, gradients[0].size(-1)});
    variable_list result{at::mm(dy, saved[1]).view(saved[0].sizes()), {}, {}, {}, {}, {}};
    if (!ctx->saved_data["trained"].toBool()) return result;
    const auto all = at::mm(dy.t(), saved[0].reshape({-1, saved[0].size(-1)}));  // [sum of outs, in]
    int64_t row = 0;
    size_t place = 2;
    for (const int64_t n : ctx->saved_data["rows"].toIntVector()) {
      if (n > 0) result[place++] = all.narrow(0, row, n);
      row += n;
    }
    return result;
  }
};

}  // namespace

torch::Tensor joint_linear(const torch::Tensor& x, const torch::Tensor& joined, const std::vector<torch::Tensor>& weights) {
  const bool three = weights.size() > 2;
  return JointLinear::apply(x, joined.detach(), weights.at(0), weights.at(1), three ? weights[2] : joined.detach(), three);
}

}  // namespace tessera::nn
