#include "tessera/tensor/shapes.h"

#include "tessera/base/error.h"

namespace tessera::tensor {

std::string shape_text(at::IntArrayRef sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

void check_rank(const torch::Tensor& t, int64_t rank, std::string_view name) {
  if (!t.defined()) throw InputError("{} is an undefined tensor, {} dimensions are expected; give it a value", name, rank);
  if (t.dim() != rank)
    throw InputError("{} has the shape {}, {} dimensions are expected, not {}", name, shape_text(t.sizes()), rank, t.dim());
}

void check_shape(const torch::Tensor& t, std::initializer_list<int64_t> expected, std::string_view name) {
  check_rank(t, static_cast<int64_t>(expected.size()), name);
  int64_t d = 0;
  for (const int64_t size : expected) {
    if (size != -1 && t.size(d) != size) {
      throw InputError("{} has the shape {}, {} is expected (-1: any size)", name, shape_text(t.sizes()),
                       shape_text(at::IntArrayRef(expected.begin(), expected.size())));
    }
    ++d;
  }
}

}  // namespace tessera::tensor
