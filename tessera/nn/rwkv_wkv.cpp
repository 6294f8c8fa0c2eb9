#include "tessera/nn/rwkv_wkv.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include "tessera/base/error.h"
#include "tessera/nn/scan_lanes.h"

namespace tessera::nn {
namespace {

constexpr float kNothingYet = -1e30F;  // the exponent of an empty sum: any key's is larger

// One sequence, up to sixteen channels. Pointers lead to the first of them; `stride` A floats part tokens.
struct WkvBlock {
  int64_t tokens, stride, count;
  const float *key, *value, *decay, *first;
  float *numerator, *denominator, *exponent;  // updated
};

[[gnu::always_inline]] inline void larger_lanes(const ScanLanes& a, const ScanLanes& b, ScanLanes& out) { out = a > b ? a : b; }

TESSERA_SCAN_CLONES void wkv_forward(const WkvBlock& s, float* y) {
  ScanLanes decay, first, numerator, denominator, exponent;
  load_lanes(s.decay, s.count, decay);
  load_lanes(s.first, s.count, first);
  load_lanes(s.numerator, s.count, numerator);
  load_lanes(s.denominator, s.count, denominator);
  load_lanes(s.exponent, s.count, exponent);
  for (int64_t t = 0; t < s.tokens; ++t) {
    ScanLanes key, value, most, old, fresh;
    load_lanes(s.key + t * s.stride, s.count, key);
    load_lanes(s.value + t * s.stride, s.count, value);
    larger_lanes(exponent, key + first, most);
    exp_lanes(exponent - most, old);
    exp_lanes(key + first - most, fresh);
    store_lanes(y + t * s.stride, s.count, (old * numerator + fresh * value) / (old * denominator + fresh));
    larger_lanes(exponent + decay, key, most);
    exp_lanes(exponent + decay - most, old);
    exp_lanes(key - most, fresh);
    numerator = old * numerator + fresh * value;
    denominator = old * denominator + fresh;
    exponent = most;
  }
  store_lanes(s.numerator, s.count, numerator);
  store_lanes(s.denominator, s.count, denominator);
  store_lanes(s.exponent, s.count, exponent);
}

WkvState empty_state(const WkvInputs& in) {
  const auto sums = torch::zeros({in.key.size(0), in.key.size(2)}, in.key.options());
  return {sums, sums.clone(), torch::full_like(sums, kNothingYet)};
}

void check_wkv(const WkvInputs& in) {
  if (in.key.dim() != 3) throw InputError("wkv: key has {} dimensions, expected 3; give [B, T, A]", in.key.dim());
  const int64_t batch = in.key.size(0), channels = in.key.size(2);
  const auto expect = [&](const char* name, const torch::Tensor& t, const std::vector<int64_t>& wanted) {
    if (t.sizes().vec() != wanted) {
      throw InputError("wkv: {} is [{}], key asks for [{}]; give equal sizes", name, fmt::join(t.sizes(), ", "), fmt::join(wanted, ", "));
    }
  };
  expect("value", in.value, in.key.sizes().vec());
  expect("decay", in.decay, {channels});
  expect("first", in.first, {channels});
  if (!in.state.numerator.defined()) return;
  for (const auto* part : {&in.state.numerator, &in.state.denominator, &in.state.exponent}) expect("state", *part, {batch, channels});
}

bool needs_gradient(const WkvInputs& in) {
  return torch::GradMode::is_enabled() &&
         (in.key.requires_grad() || in.value.requires_grad() || in.decay.requires_grad() || in.first.requires_grad());
}

}  // namespace

WkvOutputs wkv(const WkvInputs& in) {
  check_wkv(in);
  if (!in.key.is_cpu() || needs_gradient(in)) return wkv_loop(in);
  const auto ready = [](const torch::Tensor& t) { return t.detach().to(torch::kFloat).contiguous(); };
  const auto own = [](const torch::Tensor& t) { return t.detach().to(torch::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous(); };
  const auto key = ready(in.key), value = ready(in.value), decay = ready(in.decay), first = ready(in.first);
  const auto old = in.state.numerator.defined() ? in.state : empty_state({.key = key, .value = value, .decay = decay, .first = first});
  WkvOutputs out{torch::empty_like(key), {own(old.numerator), own(old.denominator), own(old.exponent)}};
  const int64_t tokens = key.size(1), channels = key.size(2), blocks = (channels + kScanLanes - 1) / kScanLanes;
  float* y = out.y.data_ptr<float>();
  float* sums[] = {out.state.numerator.data_ptr<float>(), out.state.denominator.data_ptr<float>(), out.state.exponent.data_ptr<float>()};
  at::parallel_for(0, key.size(0) * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sequence = i / blocks, channel = i % blocks * kScanLanes;
      const int64_t at = sequence * tokens * channels + channel, of_state = sequence * channels + channel;
      wkv_forward({.tokens = tokens,
                   .stride = channels,
                   .count = std::min(kScanLanes, channels - channel),
                   .key = key.const_data_ptr<float>() + at,
                   .value = value.const_data_ptr<float>() + at,
                   .decay = decay.const_data_ptr<float>() + channel,
                   .first = first.const_data_ptr<float>() + channel,
                   .numerator = sums[0] + of_state,
                   .denominator = sums[1] + of_state,
                   .exponent = sums[2] + of_state},
                  y + at);
    }
  });
  return out;
}

WkvOutputs wkv_loop(const WkvInputs& in) {
  check_wkv(in);
  auto [numerator, denominator, exponent] = in.state.numerator.defined() ? in.state : empty_state(in);
  std::vector<torch::Tensor> outputs;
  for (int64_t t = 0; t < in.key.size(1); ++t) {
    const auto key = in.key.select(1, t), value = in.value.select(1, t);
    auto most = torch::maximum(exponent, key + in.first);
    auto old = torch::exp(exponent - most), fresh = torch::exp(key + in.first - most);
    outputs.push_back((old * numerator + fresh * value) / (old * denominator + fresh));
    most = torch::maximum(exponent + in.decay, key);
    old = torch::exp(exponent + in.decay - most);
    fresh = torch::exp(key - most);
    numerator = old * numerator + fresh * value;
    denominator = old * denominator + fresh;
    exponent = most;
  }
  const auto y = outputs.empty() ? torch::empty_like(in.key) : torch::stack(outputs, 1);
  return {y, {numerator.detach(), denominator.detach(), exponent.detach()}};
}

}  // namespace tessera::nn
