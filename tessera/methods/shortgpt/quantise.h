#pragma once
// Weight-only quantisation for the order experiment (ShortGPT, section 4.5): round to nearest, and GPTQ (Frantar et al., arXiv 2210.17323).
// A matrix is [out, in] as in nn::Linear; groups run along `in`.

#include <torch/torch.h>

#include <cstdint>

namespace tessera::shortgpt {

struct QuantOptions {
  int bits = 4;            // 2 to 8
  int64_t group = 128;     // input columns that share a scale; the last group of a row may be shorter
  double damping = 0.01;   // GPTQ: added to the Hessian's diagonal, as a share of its mean
  bool act_order = false;  // GPTQ: columns with the largest Hessian diagonal first; groups then follow that order
};

// Codes with one scale and zero point a row and group: w ~ scale * (code - zero).
struct QuantisedMatrix {
  torch::Tensor codes;     // [out, in] uint8, 0 to 2^bits - 1
  torch::Tensor scales;    // [out, groups] float32
  torch::Tensor zeros;     // [out, groups] float32, whole numbers
  torch::Tensor group_of;  // [in] int64: the group of each column
  int bits = 4;

  torch::Tensor dequantised() const;  // [out, in] float32
  int64_t bytes() const;              // packed: codes of `bits` bits, scales and zero points of 2 bytes
};

// Every weight to the nearest of 2^bits levels between its group's minimum and maximum (0 is always a level).
// weight: [out, in], any floating dtype. Throws InputError on options out of range.
QuantisedMatrix round_to_nearest(const torch::Tensor& weight, const QuantOptions& options = {});

// GPTQ: columns in blocks of `group`, each column's rounding error spread over the columns not yet rounded, by the Cholesky factor of the
// inverse of H = 2 X^T X + damping * mean(diag) * I. hessian: [in, in], the sum of 2 x x^T over calibration tokens (see HessianSum).
QuantisedMatrix gptq(const torch::Tensor& weight, const torch::Tensor& hessian, const QuantOptions& options = {});

// 2 X^T X, summed over calls in float32.
class HessianSum {
 public:
  void add(const torch::Tensor& inputs);               // [..., in]
  const torch::Tensor& value() const { return sum_; }  // [in, in]; undefined before the first call

 private:
  torch::Tensor sum_;
};

}  // namespace tessera::shortgpt
