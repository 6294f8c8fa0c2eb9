#include "tessera/tensor/draw.h"

#include <torch/torch.h>

#include <span>

#include "tessera/base/random.h"

namespace tessera::tensor {

template <class Next>
static torch::Tensor drawn(at::IntArrayRef sizes, const Next& next) {
  auto values = torch::empty(sizes, torch::kFloat32);
  for (auto& value : std::span(values.data_ptr<float>(), static_cast<size_t>(values.numel()))) value = static_cast<float>(next());
  return values;
}

torch::Tensor uniform_draw(at::IntArrayRef sizes, double bound, uint64_t seed, std::string_view name) {
  RandomStream stream(seed, name);
  return drawn(sizes, [&] { return (2.0 * stream.uniform() - 1.0) * bound; });
}

torch::Tensor normal_draw(at::IntArrayRef sizes, double std, uint64_t seed, std::string_view name) {
  RandomStream stream(seed, name);
  return drawn(sizes, [&] { return std * stream.normal(); });
}

}  // namespace tessera::tensor
