#include "tessera/nn/rope.h"

#include "tessera/base/error.h"
#include "tessera/kernels/rotary.h"
#include "tessera/kernels/rotary_grad.h"
#include "tessera/tensor/shapes.h"

namespace tessera::nn {

torch::Tensor rope_frequencies(const RopeOptions& options, int64_t head_width) {
  return torch::tensor(rope_angles(options, head_width), torch::kFloat32);
}

RopeTable rope_table(const torch::Tensor& positions, const torch::Tensor& frequencies) {
  const auto angles = positions.to(torch::kFloat32).unsqueeze(-1) * frequencies;  // [B, T, e/2]
  return {angles.cos(), angles.sin()};
}

torch::Tensor rotate(const torch::Tensor& x, const RopeTable& table) {
  const int64_t half = table.cos.size(-1);
  if (x.dim() != 4 || x.size(3) != 2 * half || x.size(1) != table.cos.size(1) ||
      (table.cos.size(0) != 1 && table.cos.size(0) != x.size(0))) {
    throw InputError("rotary positions: x is {} and the table {}; expected x [B, T, H, e] and a table [B or 1, T, e/2]",
                     tensor::shape_text(x.sizes()), tensor::shape_text(table.cos.sizes()));
  }
  if (kernels::rotary_takes(x)) return kernels::rotary(x, table.cos, table.sin);
  if (torch::GradMode::is_enabled() && kernels::rotary_train_takes(x)) return kernels::rotary_train(x, table.cos, table.sin);
  const auto cos = table.cos.unsqueeze(2), sin = table.sin.unsqueeze(2);  // [B, T, 1, e/2]
  const auto first = x.narrow(3, 0, half).to(torch::kFloat32), second = x.narrow(3, half, half).to(torch::kFloat32);
  return torch::cat({first * cos - second * sin, second * cos + first * sin}, 3).to(x.dtype());
}

}  // namespace tessera::nn
