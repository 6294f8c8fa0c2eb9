#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>

#include "tessera/base/error.h"
#include "tessera/lm/generate.h"
#include "tessera/tensor/shapes.h"

// Each step is the logits processor of that name in Transformers, in the order of its generate().
namespace tessera::lm {

static void check_sampling(const Sampling& s) {
  if (!(s.temperature >= 0.0) || !std::isfinite(s.temperature)) throw InputError("temperature is {}; expected 0 or more", s.temperature);
  if (s.top_k < 0) throw InputError("top-k is {}; expected 0 (all) or more", s.top_k);
  if (!(s.top_p > 0.0 && s.top_p <= 1.0)) throw InputError("top-p is {}; expected more than 0, at most 1", s.top_p);
  if (!(s.min_p >= 0.0 && s.min_p <= 1.0)) throw InputError("min-p is {}; expected 0 to 1", s.min_p);
  if (!(s.repetition_penalty > 0.0) || !std::isfinite(s.repetition_penalty)) {
    throw InputError("the repetition penalty is {}; expected more than 0 (1: none)", s.repetition_penalty);
  }
}

// Logits after bias and repetition penalty, as float64.
static std::vector<double> penalised(const torch::Tensor& logits, const Sampling& sampling, const std::vector<int64_t>& present) {
  check_sampling(sampling);
  if (logits.dim() != 1 || logits.numel() == 0)
    throw InputError("logits to sample from are {}; expected one row", tensor::shape_text(logits.sizes()));
  const auto wide = logits.detach().to(torch::kCPU, torch::kDouble).contiguous();
  std::vector<double> z(wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel());
  const auto vocab = static_cast<int64_t>(z.size());
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (id < 0 || id >= vocab) throw InputError("a logit bias names token {}; expected 0 to {}", id, vocab - 1);
    z[id] += bias;
  }
  if (sampling.repetition_penalty != 1.0) {
    for (const int64_t id : std::unordered_set<int64_t>(present.begin(), present.end())) {
      if (id >= 0 && id < vocab) z[id] *= z[id] < 0.0 ? sampling.repetition_penalty : 1.0 / sampling.repetition_penalty;
    }
  }
  if (std::any_of(z.begin(), z.end(), [](double value) { return std::isnan(value); })) {
    throw WorkError("the model's logits are not numbers; load it with --dtype fp32, and check its weights");
  }
  return z;
}

constexpr double kCut = -std::numeric_limits<double>::infinity();

static void keep_top_k(std::vector<double>& z, int64_t k) {
  if (k == 0 || k >= static_cast<int64_t>(z.size())) return;
  auto sorted = z;
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const double least = sorted[k - 1];
  for (auto& value : z) value = value < least ? kCut : value;
}

// exp(z - max) over its sum.
static std::vector<double> softmax_of(const std::vector<double>& z) {
  const double top = *std::max_element(z.begin(), z.end());
  std::vector<double> p(z.size());
  double sum = 0.0;
  for (size_t i = 0; i < z.size(); ++i) sum += p[i] = std::exp(z[i] - top);
  for (auto& value : p) value /= sum;
  return p;
}

// Tokens whose less likely fellows and themselves together weigh no more than 1 - top_p go; the likeliest stays.
static void keep_top_p(std::vector<double>& z, double top_p) {
  if (top_p >= 1.0) return;
  const auto p = softmax_of(z);
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (z[i] > kCut) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  double below = 0.0;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    below += p[order[i]];
    if (below > 1.0 - top_p) break;
    z[order[i]] = kCut;
  }
}

static void keep_min_p(std::vector<double>& z, double min_p) {
  if (min_p <= 0.0) return;
  const double least = *std::max_element(z.begin(), z.end()) + std::log(min_p);
  for (auto& value : z) value = value < least ? kCut : value;
}

static std::vector<double> distribution(const torch::Tensor& logits, const Sampling& sampling, const std::vector<int64_t>& present) {
  auto z = penalised(logits, sampling, present);
  if (sampling.temperature == 0.0) {
    std::vector<double> p(z.size(), 0.0);
    p[std::max_element(z.begin(), z.end()) - z.begin()] = 1.0;
    return p;
  }
  for (auto& value : z) value /= sampling.temperature;
  keep_top_k(z, sampling.top_k);
  keep_top_p(z, sampling.top_p);
  keep_min_p(z, sampling.min_p);
  return softmax_of(z);
}

torch::Tensor sampling_distribution(const torch::Tensor& logits, const Sampling& sampling, const std::vector<int64_t>& present) {
  const auto p = distribution(logits, sampling, present);
  return torch::tensor(p, torch::kDouble).to(torch::kFloat32);
}

int64_t sample_token(const torch::Tensor& logits, const Sampling& sampling, const std::vector<int64_t>& present, double uniform) {
  if (sampling.temperature == 0.0 && sampling.logit_bias.empty() && sampling.repetition_penalty == 1.0) {
    check_sampling(sampling);
    return logits.argmax().item<int64_t>();
  }
  const auto p = distribution(logits, sampling, present);
  double sum = 0.0;
  int64_t last = 0;  // the last token with any weight, should rounding leave the sum below `uniform`
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] <= 0.0) continue;
    sum += p[i];
    last = static_cast<int64_t>(i);
    if (uniform < sum) break;
  }
  return last;
}

}  // namespace tessera::lm
