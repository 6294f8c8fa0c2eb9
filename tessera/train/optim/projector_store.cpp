// How a projector's basis is kept between refreshes (Q-GaLore, arXiv 2407.08296, section 3.3, for int8 and int4).
#include "tessera/train/optim/projector.h"

namespace tessera::train {

static constexpr int64_t basis_block = 256;  // values that share a scale and a zero

static int64_t basis_blocks(int64_t n) { return (n + basis_block - 1) / basis_block; }

std::vector<StateSlot> basis_slots(const std::string& name, const std::vector<int64_t>& shape, ProjectorDtype dtype) {
  const int64_t n = c10::multiply_integers(shape);
  switch (dtype) {
    case ProjectorDtype::float32:
      return {{name, shape, torch::kFloat32}};
    case ProjectorDtype::bfloat16:
      return {{name, shape, torch::kBFloat16}};
    case ProjectorDtype::int8:
      return {{name, {n}, torch::kUInt8}, {name + "_scale", {basis_blocks(n)}}, {name + "_zero", {basis_blocks(n)}}};
    case ProjectorDtype::int4:
      break;
  }
  return {{name, {(n + 1) / 2}, torch::kUInt8}, {name + "_scale", {basis_blocks(n)}}, {name + "_zero", {basis_blocks(n)}}};
}

void store_basis(const torch::Tensor& basis, ProjectorDtype dtype, std::span<torch::Tensor> slots) {
  if (dtype == ProjectorDtype::float32 || dtype == ProjectorDtype::bfloat16) {
    slots[0].copy_(basis);
    return;
  }
  const double levels = dtype == ProjectorDtype::int8 ? 255.0 : 15.0;
  const int64_t n = basis.numel(), blocks = basis_blocks(n);
  const auto flat = basis.reshape({-1});
  // The last block is filled up with its own last value, so that the filling moves neither end of its range.
  const auto filled = torch::cat({flat, flat.narrow(0, n - 1, 1).expand({blocks * basis_block - n})}).view({blocks, basis_block});
  const auto low = filled.amin(1, true);
  const auto scale = ((filled.amax(1, true) - low) / levels).clamp_min(1e-12);
  const auto codes = ((filled - low) / scale).round_().clamp_(0, levels).to(torch::kUInt8).view({-1}).narrow(0, 0, n);
  slots[1].copy_(scale.view({-1}));
  slots[2].copy_(low.view({-1}));
  if (dtype == ProjectorDtype::int8) {
    slots[0].copy_(codes);
    return;
  }
  const auto even = codes.slice(0, 0, n, 2);
  slots[0].copy_(even);
  slots[0].narrow(0, 0, n / 2).add_(codes.slice(0, 1, n, 2).mul(16));
}

int64_t store_basis_bytes(int64_t n, ProjectorDtype dtype) {
  const bool codes = dtype == ProjectorDtype::int8 || dtype == ProjectorDtype::int4;
  return codes ? 13 * n : 0;  // the filled copy, its distance from the lowest and the quotient, the codes
}

torch::Tensor read_basis(const std::vector<int64_t>& shape, ProjectorDtype dtype, std::span<const torch::Tensor> slots) {
  if (dtype == ProjectorDtype::float32) return slots[0];
  if (dtype == ProjectorDtype::bfloat16) return slots[0].to(torch::kFloat32);
  const int64_t n = c10::multiply_integers(shape), blocks = basis_blocks(n);
  auto codes = slots[0];
  if (dtype == ProjectorDtype::int4) {
    codes = torch::stack({codes.bitwise_and(15), codes.bitwise_right_shift(4)}, 1).view({-1}).narrow(0, 0, n);
  }
  auto wide = torch::zeros({blocks * basis_block}, slots[1].options());
  wide.narrow(0, 0, n).copy_(codes);
  wide = wide.view({blocks, basis_block}).mul(slots[1].unsqueeze(1)).add_(slots[2].unsqueeze(1));
  return wide.view({-1}).narrow(0, 0, n).view(shape);
}

int64_t read_basis_bytes(int64_t n, ProjectorDtype dtype) {
  switch (dtype) {
    case ProjectorDtype::float32:
      return 0;
    case ProjectorDtype::bfloat16:
      return 4 * n;
    case ProjectorDtype::int8:
      return 8 * n;
    case ProjectorDtype::int4:
      break;
  }
  return 9 * n;  // the codes of a byte each beside
}

}  // namespace tessera::train
