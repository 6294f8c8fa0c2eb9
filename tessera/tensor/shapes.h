#pragma once
// Checks of tensor shapes that document them too: auto [b, h, n, e] = dims<4>(q, "q").

#include <torch/types.h>

#include <array>
#include <initializer_list>
#include <string_view>

namespace tessera::tensor {

// InputError unless `t` has `rank` dimensions; names the operand, its shape and both ranks.
void check_rank(const torch::Tensor& t, int64_t rank, std::string_view name);

// The N sizes of `t`; InputError when it has another rank.
template <size_t N>
std::array<int64_t, N> dims(const torch::Tensor& t, std::string_view name) {
  check_rank(t, static_cast<int64_t>(N), name);
  std::array<int64_t, N> sizes{};
  for (size_t i = 0; i < N; ++i) sizes[i] = t.size(static_cast<int64_t>(i));
  return sizes;
}

// InputError unless `t` has exactly these sizes; -1 stands for any size.
void check_shape(const torch::Tensor& t, std::initializer_list<int64_t> expected, std::string_view name);

// "[2, 3]".
std::string shape_text(at::IntArrayRef sizes);

}  // namespace tessera::tensor
