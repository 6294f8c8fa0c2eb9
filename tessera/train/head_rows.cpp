#include "tessera/train/head_rows.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

namespace tessera::train {

int64_t head_rows(const char* name, const torch::Tensor& hidden, const torch::Tensor& weight, const torch::Tensor& targets, int64_t given) {
  const auto [n, d] = tensor::dims<2>(hidden, "hidden");
  const auto [v, width] = tensor::dims<2>(weight, "the head's weight");
  if (width != d || targets.dim() != 1 || targets.size(0) != n || hidden.scalar_type() != weight.scalar_type()) {
    throw InputError("{} of hidden {} with a weight {} and targets {}; expected [N, D], [V, D], [N], and one dtype", name,
                     tensor::shape_text(hidden.sizes()), tensor::shape_text(weight.sizes()), tensor::shape_text(targets.sizes()));
  }
  return given > 0 ? given : std::clamp<int64_t>((int64_t{4} << 20) / v, 64, 4096);
}

}  // namespace tessera::train
