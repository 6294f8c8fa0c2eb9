#include "tessera/methods/shortgpt/quantise.h"

#include <algorithm>
#include <vector>

#include "tessera/base/error.h"

namespace tessera::shortgpt {
namespace {

using torch::indexing::Slice;

void check_matrix(const torch::Tensor& weight, const QuantOptions& options) {
  if (weight.dim() != 2) throw InputError("a weight of {} dimensions cannot be quantised; give a matrix [out, in]", weight.dim());
  if (options.bits < 2 || options.bits > 8) throw InputError("{} bits a weight; give 2 to 8", options.bits);
  if (options.group < 1) throw InputError("groups of {} columns; give 1 or more", options.group);
}

struct Levels {
  torch::Tensor scale, zero;  // [out, 1]
};

// Scale and zero point of a group [out, columns], from its extremes widened to hold 0.
Levels levels_of(const torch::Tensor& group, int bits) {
  const auto low = std::get<0>(group.min(1, true)).clamp_max(0), high = std::get<0>(group.max(1, true)).clamp_min(0);
  auto scale = (high - low) / static_cast<double>((1 << bits) - 1);
  scale = torch::where(scale > 0, scale, torch::ones_like(scale));  // a group of zeros
  return {scale, torch::round(-low / scale)};
}

torch::Tensor codes_of(const torch::Tensor& values, const Levels& levels, int bits) {
  return (torch::round(values / levels.scale) + levels.zero).clamp(0, (1 << bits) - 1);
}

QuantisedMatrix empty_result(const torch::Tensor& weight, const QuantOptions& options) {
  const int64_t out = weight.size(0), in = weight.size(1), groups = (in + options.group - 1) / options.group;
  return {.codes = torch::empty({out, in}, torch::kUInt8),
          .scales = torch::empty({out, groups}),
          .zeros = torch::empty({out, groups}),
          .group_of = torch::arange(in).floor_divide(options.group),
          .bits = options.bits};
}

// The upper Cholesky factor of the inverse of the damped Hessian; columns that were never used get 1 on the diagonal.
torch::Tensor inverse_factor(const torch::Tensor& hessian, double damping) {
  auto diagonal = hessian.diagonal();
  diagonal.masked_fill_(diagonal == 0, 1.0);
  diagonal.add_(damping * diagonal.mean());
  const auto inverse = torch::cholesky_inverse(torch::linalg_cholesky(hessian));
  return torch::linalg_cholesky(inverse).t().contiguous();  // inverse = U^T U
}

}  // namespace

torch::Tensor QuantisedMatrix::dequantised() const {
  return scales.index_select(1, group_of) * (codes.to(torch::kFloat) - zeros.index_select(1, group_of));
}

int64_t QuantisedMatrix::bytes() const { return (codes.numel() * bits + 7) / 8 + 2 * (scales.numel() + zeros.numel()); }

QuantisedMatrix round_to_nearest(const torch::Tensor& weight, const QuantOptions& options) {
  check_matrix(weight, options);
  const auto values = weight.detach().to(torch::kFloat).cpu();
  auto result = empty_result(values, options);
  for (int64_t g = 0; g < result.scales.size(1); ++g) {
    const Slice columns(g * options.group, std::min((g + 1) * options.group, values.size(1)));
    const auto part = values.index({Slice(), columns});
    const auto levels = levels_of(part, options.bits);
    result.codes.index_put_({Slice(), columns}, codes_of(part, levels, options.bits).to(torch::kUInt8));
    result.scales.index_put_({Slice(), g}, levels.scale.squeeze(1));
    result.zeros.index_put_({Slice(), g}, levels.zero.squeeze(1));
  }
  return result;
}

QuantisedMatrix gptq(const torch::Tensor& weight, const torch::Tensor& hessian, const QuantOptions& options) {
  check_matrix(weight, options);
  const int64_t in = weight.size(1);
  if (hessian.dim() != 2 || hessian.size(0) != in || hessian.size(1) != in) {
    throw InputError("the Hessian is not {0} x {0}, as a weight of {0} columns needs; sum it over that weight's own inputs", in);
  }
  auto w = weight.detach().to(torch::kFloat).cpu().clone();
  auto h = hessian.to(torch::kFloat).cpu().clone();
  w.masked_fill_((h.diagonal() == 0).unsqueeze(0), 0.0);
  auto result = empty_result(w, options);
  torch::Tensor order;
  if (options.act_order) {
    order = torch::argsort(h.diagonal(), /*stable=*/true, /*dim=*/0, /*descending=*/true);
    w = w.index_select(1, order);
    h = h.index_select(0, order).index_select(1, order);
  }
  const auto factor = inverse_factor(h, options.damping);
  const auto diagonal = factor.diagonal().contiguous();
  const float* pivot = diagonal.const_data_ptr<float>();
  auto codes = torch::empty_like(w);
  for (int64_t g = 0; g < result.scales.size(1); ++g) {
    const int64_t begin = g * options.group, end = std::min(begin + options.group, in);
    auto block = w.index({Slice(), Slice(begin, end)}).t().contiguous();  // [columns, out]: a column lies in one piece
    const auto local = factor.index({Slice(begin, end), Slice(begin, end)});
    const auto levels = levels_of(block.t(), options.bits);
    const Levels flat{levels.scale.squeeze(1), levels.zero.squeeze(1)};
    auto errors = torch::empty_like(block);
    for (int64_t c = 0; c < end - begin; ++c) {
      const auto column = block[c];
      const auto code = codes_of(column, flat, options.bits);
      codes.select(1, begin + c).copy_(code);
      const auto error = (column - flat.scale * (code - flat.zero)) / pivot[begin + c];
      errors[c].copy_(error);
      if (c + 1 < end - begin) block.slice(0, c + 1).addr_(local[c].slice(0, c + 1), error, 1, -1);
    }
    if (end < in) w.slice(1, end).sub_(errors.t().mm(factor.index({Slice(begin, end), Slice(end, in)})));
    result.scales.index_put_({Slice(), g}, flat.scale);
    result.zeros.index_put_({Slice(), g}, flat.zero);
  }
  if (options.act_order) {
    const auto back = torch::argsort(order);
    codes = codes.index_select(1, back);
    result.group_of = result.group_of.index_select(0, back);
  }
  result.codes = codes.to(torch::kUInt8);
  return result;
}

void HessianSum::add(const torch::Tensor& inputs) {
  const auto rows = inputs.detach().reshape({-1, inputs.size(-1)}).to(torch::kFloat);
  const auto sum = rows.t().mm(rows).mul_(2);
  sum_ = sum_.defined() ? sum_.add_(sum) : sum;
}

}  // namespace tessera::shortgpt
