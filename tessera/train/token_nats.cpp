#include "tessera/train/token_nats.h"

#include "tessera/train/head_rows.h"

namespace tessera::train {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows [begin, begin + n) of the three inputs.
struct Chunk {
  torch::Tensor hidden, targets;
  torch::Tensor log_probabilities(const torch::Tensor& weight) const {
    return at::linear(hidden, weight).to(torch::kFloat32).log_softmax(-1);
  }
  torch::Tensor columns() const { return targets.clamp_min(0).unsqueeze(-1); }
  torch::Tensor counted() const { return targets.ge(0); }
};

template <class Work>
void for_each_chunk(const torch::Tensor& hidden, const torch::Tensor& targets, int64_t chunk, const Work& work) {
  for (int64_t begin = 0; begin < hidden.size(0); begin += chunk) {
    const int64_t n = std::min(chunk, hidden.size(0) - begin);
    work(begin, n, Chunk{hidden.narrow(0, begin, n), targets.narrow(0, begin, n)});
  }
}

struct TokenNats : torch::autograd::Function<TokenNats> {
  static torch::Tensor forward(AutogradContext* ctx, const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets,
                               int64_t chunk) {
    auto nats = torch::empty({hidden.size(0)}, hidden.options().dtype(torch::kFloat32));
    for_each_chunk(hidden, targets, chunk, [&](int64_t begin, int64_t n, const Chunk& rows) {
      nats.narrow(0, begin, n).copy_(rows.log_probabilities(weight).gather(-1, rows.columns()).squeeze(-1).neg().mul_(rows.counted()));
    });
    ctx->save_for_backward({hidden, weight, targets});
    ctx->saved_data["chunk"] = chunk;
    return nats;
  }
  // d nats[n] / d logits[n] = softmax - one-hot of the target.
  static variable_list backward(AutogradContext* ctx, const variable_list& dy) {
    const auto saved = ctx->get_saved_variables();
    const auto &hidden = saved[0], &weight = saved[1], &targets = saved[2];
    auto d_hidden = torch::empty_like(hidden);
    auto d_weight = ctx->needs_input_grad(1) ? torch::zeros_like(weight, torch::kFloat32) : torch::Tensor();
    for_each_chunk(hidden, targets, ctx->saved_data["chunk"].toInt(), [&](int64_t begin, int64_t n, const Chunk& rows) {
      const auto factor = dy[0].narrow(0, begin, n).mul(rows.counted()).unsqueeze(-1);  // [n, 1]
      auto d_logits = rows.log_probabilities(weight).exp_().mul_(factor).scatter_add_(-1, rows.columns(), factor.neg());
      d_logits = d_logits.to(hidden.scalar_type());
      d_hidden.narrow(0, begin, n).copy_(at::mm(d_logits, weight));
      if (d_weight.defined()) d_weight.add_(at::mm(d_logits.t(), rows.hidden));
    });
    return {d_hidden, d_weight.defined() ? d_weight.to(weight.scalar_type()) : torch::Tensor(), {}, {}};
  }
};

}  // namespace

torch::Tensor token_nats(const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets, int64_t chunk) {
  chunk = head_rows("token_nats", hidden, weight, targets, chunk);
  return TokenNats::apply(hidden, weight, targets, chunk);
}

}  // namespace tessera::train
