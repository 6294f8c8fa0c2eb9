#include "tessera/methods/shortgpt/block_influence.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tessera/base/error.h"

namespace tessera::shortgpt {
namespace {

constexpr int64_t kLanes = 16;  // independent partial sums: the compiler may keep them in vectors without reordering a sum

// One pass over 2d numbers, three fused dot products.
template <class T>
void products_of_row(const T* x, const T* y, int64_t width, float* out) {
  float yy[kLanes] = {}, xy[kLanes] = {}, ff[kLanes] = {};
  const auto add = [&](int64_t lane, float a, float b) {
    yy[lane] += b * b;
    xy[lane] += a * b;
    ff[lane] += (b - a) * (b - a);
  };
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) add(lane, static_cast<float>(x[i + lane]), static_cast<float>(y[i + lane]));
  for (; i < width; ++i) add(i % kLanes, static_cast<float>(x[i]), static_cast<float>(y[i]));
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; ++lane) {
      yy[lane] += yy[lane + half];
      xy[lane] += xy[lane + half];
      ff[lane] += ff[lane + half];
    }
  out[0] = yy[0];
  out[1] = xy[0];
  out[2] = ff[0];
}

// sum(values) / sum(counts) over windows, and the standard error of that ratio (linearised, with W - 1 in the variance).
Estimate ratio_of_sums(const std::vector<double>& values, const std::vector<int64_t>& counts) {
  Estimate estimate;
  double total = 0, tokens = 0, squares = 0;
  for (size_t w = 0; w < values.size(); ++w) {
    total += values[w];
    tokens += static_cast<double>(counts[w]);
  }
  if (tokens == 0) return estimate;
  estimate.mean = total / tokens;
  const auto windows = static_cast<double>(values.size());
  for (size_t w = 0; w < values.size(); ++w) squares += std::pow(values[w] - estimate.mean * static_cast<double>(counts[w]), 2);
  if (windows >= 2) estimate.error = std::sqrt(squares * windows / (windows - 1)) / tokens;
  return estimate;
}

torch::Tensor rows_of(const torch::Tensor& states) { return states.reshape({-1, states.size(-1)}); }

}  // namespace

torch::Tensor row_products(const torch::Tensor& x, const torch::Tensor& y) {
  if (!x.is_cpu()) {  // another device: the same three sums by its own kernels
    const auto a = x.to(torch::kFloat), b = y.to(torch::kFloat);
    return torch::stack({(b * b).sum(-1), (a * b).sum(-1), (b - a).square().sum(-1)}, -1).cpu();
  }
  const auto type = x.scalar_type() == y.scalar_type() && (x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf)
                        ? x.scalar_type()
                        : torch::kFloat;
  const auto a = x.to(type).contiguous(), b = y.to(type).contiguous();
  const int64_t rows = a.size(0), width = a.size(1);
  auto out = torch::empty({rows, 3}, torch::kFloat);
  float* to = out.data_ptr<float>();
  const auto run = [&](const auto* from, const auto* into) {
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) products_of_row(from + r * width, into + r * width, width, to + 3 * r);
    });
  };
  if (type == torch::kBFloat16) {
    run(a.const_data_ptr<c10::BFloat16>(), b.const_data_ptr<c10::BFloat16>());
  } else if (type == torch::kHalf) {
    run(a.const_data_ptr<c10::Half>(), b.const_data_ptr<c10::Half>());
  } else {
    run(a.const_data_ptr<float>(), b.const_data_ptr<float>());
  }
  return out;
}

InfluenceMeter::InfluenceMeter(int64_t layers, int64_t span) : layers_(layers), span_(span), layer_(layers) {
  if (layers < 1) throw InputError("a model of {} layers has nothing to score; give one with at least 1", layers);
  if (span < 1 || span > layers) throw InputError("a span of {} layers, the model has {}; give 1 to {}", span, layers, layers);
}

void InfluenceMeter::start(const torch::Tensor& x, const torch::Tensor& mask) {
  if (layer_ != layers_) throw InputError("the batch before stopped after {} of {} layers; feed all of them", layer_, layers_);
  if (x.dim() != 3) throw InputError("states have {} dimensions, expected 3; give [windows, tokens, width]", x.dim());
  const int64_t batch = x.size(0), tokens = x.size(1);
  if (mask.defined() && (mask.dim() != 2 || mask.size(0) != batch || mask.size(1) != tokens)) {
    throw InputError("the mask has {} entries, the states {} x {} tokens; give one entry a token", mask.numel(), batch, tokens);
  }
  real_.assign(static_cast<size_t>(batch * tokens), 1);
  if (mask.defined()) {
    const auto flat = mask.to(torch::kBool).cpu().contiguous();
    std::copy_n(flat.const_data_ptr<bool>(), flat.numel(), real_.begin());
  }
  first_.resize(static_cast<size_t>(batch));
  for (int64_t b = 0; b < batch; ++b) {
    const auto row = real_.begin() + b * tokens;
    first_[static_cast<size_t>(b)] = std::find(row, row + tokens, 1) - row;
  }
  const auto flat = rows_of(x.detach());
  const auto products = row_products(flat, flat);
  const float* from = products.const_data_ptr<float>();
  square_.resize(real_.size());
  for (size_t r = 0; r < square_.size(); ++r) square_[r] = from[3 * r];
  first_window_ = static_cast<int64_t>(sums_.size());
  sums_.resize(sums_.size() + static_cast<size_t>(batch), std::vector<WindowSums>(static_cast<size_t>(layers_)));
  layer_ = 0;
  held_.assign(1, x.detach());
}

void InfluenceMeter::next(const torch::Tensor& y) {
  if (layer_ >= layers_) throw InputError("layer {} of a meter for {} layers; start the next batch first", layer_, layers_);
  const auto& x = held_.back();
  if (x.sizes() != y.sizes()) throw InputError("layer {} changed the shape of the states; it must keep [windows, tokens, width]", layer_);
  const int64_t batch = y.size(0), tokens = y.size(1);
  const auto products = row_products(rows_of(x), rows_of(y.detach()));
  const float* from = products.const_data_ptr<float>();
  for (int64_t b = 0; b < batch; ++b) {
    auto& sums = sums_[static_cast<size_t>(first_window_ + b)][static_cast<size_t>(layer_)];
    for (int64_t t = 0; t < tokens; ++t) {
      const auto r = static_cast<size_t>(b * tokens + t);
      const double xx = square_[r], yy = from[3 * r], xy = from[3 * r + 1], ff = from[3 * r + 2];
      square_[r] = yy;  // the norm of this output is the next layer's norm of the input
      if (real_[r] == 0) continue;
      const double cosine = xy / std::sqrt(xx * yy), magnitude = std::sqrt(ff) / std::sqrt(yy);
      if (!std::isfinite(cosine) || !std::isfinite(magnitude)) {
        ++sums.skipped;
        continue;
      }
      const double bi = 1 - std::clamp(cosine, -1.0, 1.0);
      sums.bi += bi;
      sums.magnitude += magnitude;
      sums.norm += std::sqrt(yy);
      ++sums.tokens;
      if (t == first_[static_cast<size_t>(b)]) continue;
      sums.bi_without_first += bi;
      ++sums.tokens_without_first;
    }
  }
  ++layer_;
  add_angles(y.detach());
}

void InfluenceMeter::add_angles(const torch::Tensor& y) {
  held_.push_back(y);
  if (static_cast<int64_t>(held_.size()) <= span_) return;  // fewer than `span` layers so far
  const auto x = held_.front();
  held_.pop_front();
  const int64_t batch = y.size(0), tokens = y.size(1);
  const auto from_x = rows_of(x), from_y = rows_of(y);
  const auto products = row_products(from_x, from_y), own = row_products(from_x, from_x);
  const float *between = products.const_data_ptr<float>(), *of_x = own.const_data_ptr<float>();
  for (int64_t b = 0; b < batch; ++b) {
    auto& sums = sums_[static_cast<size_t>(first_window_ + b)][static_cast<size_t>(layer_ - span_)];
    for (int64_t t = 0; t < tokens; ++t) {
      const auto r = static_cast<size_t>(b * tokens + t);
      const double cosine = between[3 * r + 1] / std::sqrt(double{of_x[3 * r]} * between[3 * r]);
      if (real_[r] == 0 || !std::isfinite(cosine)) continue;
      sums.angle += std::acos(std::clamp(cosine, -1.0, 1.0)) / std::numbers::pi;
      ++sums.angle_tokens;
    }
  }
}

std::vector<LayerInfluence> InfluenceMeter::result() const { return result(0, static_cast<int64_t>(sums_.size())); }

std::vector<LayerInfluence> InfluenceMeter::result(int64_t begin, int64_t end) const {
  std::vector<LayerInfluence> layers(static_cast<size_t>(layers_));
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto estimate = [&](double WindowSums::*value, int64_t WindowSums::*count) {
      std::vector<double> values;
      std::vector<int64_t> counts;
      for (int64_t w = begin; w < end; ++w) {
        const auto& sums = sums_[static_cast<size_t>(w)][i];
        values.push_back(sums.*value);
        counts.push_back(sums.*count);
      }
      return ratio_of_sums(values, counts);
    };
    auto& layer = layers[i];
    layer.bi = estimate(&WindowSums::bi, &WindowSums::tokens);
    layer.bi_without_first = estimate(&WindowSums::bi_without_first, &WindowSums::tokens_without_first);
    layer.magnitude = estimate(&WindowSums::magnitude, &WindowSums::tokens);
    layer.norm = estimate(&WindowSums::norm, &WindowSums::tokens);
    layer.angle = estimate(&WindowSums::angle, &WindowSums::angle_tokens);
    for (int64_t w = begin; w < end; ++w) {
      layer.tokens += sums_[static_cast<size_t>(w)][i].tokens;
      layer.skipped += sums_[static_cast<size_t>(w)][i].skipped;
    }
  }
  return layers;
}

}  // namespace tessera::shortgpt
