// Times every kernel of tessera/kernels/ beside the LibTorch operations it replaces, for bench/kernels.py.
//
//   bench_kernels ROUNDS THREADS   one JSON line a case: {"case", "unit", "work", "seconds": {"ours": [...], "NAME": [...]}}
// The ways of a case alternate in every round. "limit" copies as many bytes as the kernel moves, or, for products and attention, is a
// matrix product in oneDNN of as many operations. Shapes are those of SmolLM2-135M for
// 1024 tokens (two windows of 512), and for one token.

#include <ATen/CPUFunctions.h>
#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "tessera/kernels/attention.h"
#include "tessera/kernels/cross_entropy.h"
#include "tessera/kernels/gated_activation.h"
#include "tessera/kernels/linear.h"
#include "tessera/kernels/process.h"
#include "tessera/kernels/rms_norm.h"
#include "tessera/kernels/rotary.h"

namespace {

using torch::Tensor;
namespace kernels = tessera::kernels;

struct Way {
  std::string name;  // the first of a case is "ours"
  std::function<void()> run;
};

double seconds_of(const std::function<void()>& run, int64_t times) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < times; ++i) run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / static_cast<double>(times);
}

struct Bench {
  int rounds;

  // bytes: what the kernel must read and write.
  void compare(const std::string& name, size_t bytes, std::vector<Way> ways) const {
    const auto from = torch::rand({static_cast<int64_t>(bytes / 8) + 1}), to = torch::empty_like(from);
    ways.push_back({"limit", [&] { to.copy_(from); }});
    measure(name, "GB/s", static_cast<double>(bytes) / 1e9, ways);
  }

  // Rounds of all ways; work: what one run does, in `unit` seconds.
  void measure(const std::string& name, const std::string& unit, double work, const std::vector<Way>& ways) const {
    nlohmann::ordered_json seconds;
    std::vector<int64_t> times;
    for (const auto& way : ways) {
      way.run();
      times.push_back(std::max<int64_t>(1, static_cast<int64_t>(0.02 / seconds_of(way.run, 5))));
      seconds[way.name] = nlohmann::json::array();
    }
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < ways.size(); ++i) {
        const size_t turn = (i + static_cast<size_t>(round)) % ways.size();
        seconds[ways[turn].name].push_back(seconds_of(ways[turn].run, times[turn]));
      }
    }
    fmt::print("{}\n", nlohmann::ordered_json{{"case", name}, {"unit", unit}, {"work", work}, {"seconds", seconds}}.dump());
    std::fflush(stdout);
  }
};

std::string label(std::string_view kernel, const Tensor& x) {
  return fmt::format("{} {} {}", kernel, x.scalar_type() == torch::kBFloat16 ? "bf16" : "fp32", fmt::join(x.sizes(), "x"));
}

Tensor norm_by_operations(const Tensor& x, const Tensor& gain) {
  const auto wide = x.to(torch::kFloat32);
  return (wide * torch::rsqrt(wide.square().mean(-1, true) + 1e-5) * gain.to(torch::kFloat32)).to(x.dtype());
}

void norms(const Bench& bench, torch::Dtype dtype, int64_t tokens) {
  const auto x = torch::randn({tokens, 576}).to(dtype), branch = torch::randn({tokens, 576}).to(dtype) * 1e-3,
             gain = torch::ones({576}, dtype);
  const auto library = [&] { return at::rms_norm(x, {576}, gain, 1e-5); };
  bench.compare(label("rms_norm", x), 2 * x.nbytes(),
                {{"ours", [&] { kernels::rms_norm(x, gain, 1e-5, 0.0); }},
                 {"at::rms_norm", [&] { library(); }},
                 {"LibTorch operations", [&] { norm_by_operations(x, gain); }}});
  bench.compare(label("add_rms_norm", x), 4 * x.nbytes(),
                {{"ours", [&] { kernels::add_rms_norm(x, branch, gain, 1e-5, 0.0); }},
                 {"add_, at::rms_norm", [&] { x.add_(branch), library(); }},
                 {"LibTorch operations", [&] { norm_by_operations(x.add_(branch), gain); }}});
}

void gates(const Bench& bench, torch::Dtype dtype, int64_t tokens) {
  const auto both = torch::randn({tokens, 3072}).to(dtype);
  const auto gate = both.narrow(1, 0, 1536), up = both.narrow(1, 1536, 1536);
  const auto bytes = both.nbytes() + both.nbytes() / 2;
  bench.compare(
      label("gated_activation silu", both), bytes,
      {{"ours", [&] { kernels::gated_activation(both, kernels::Gate::silu); }}, {"silu, mul_", [&] { at::silu(gate).mul_(up); }}});
  bench.compare(label("gated_activation gelu_tanh", both), bytes,
                {{"ours", [&] { kernels::gated_activation(both, kernels::Gate::gelu_tanh); }},
                 {"gelu, mul_", [&] { at::gelu(gate, "tanh").mul_(up); }}});
}

void turns(const Bench& bench, torch::Dtype dtype, int64_t batch, int64_t tokens) {
  const auto x = torch::randn({batch, tokens, 15, 64}).to(dtype).narrow(2, 0, 12);  // heads of a joint product: not dense
  const auto angle = torch::randn({1, tokens, 32}) * 10, cos = angle.cos(), sin = angle.sin();
  const auto wide_cos = torch::cat({cos, cos}, 2).unsqueeze(2).to(dtype), wide_sin = torch::cat({sin, sin}, 2).unsqueeze(2).to(dtype);
  bench.compare(label("rotary", x), 2 * x.nbytes(),
                {{"ours", [&] { kernels::rotary(x, cos, sin); }},
                 {"x cos + turned sin",
                  [&] {
                    x* wide_cos + torch::cat({-x.narrow(3, 32, 32), x.narrow(3, 0, 32)}, 3) * wide_sin;
                  }},
                 {"halves, cat", [&] {
                    const auto first = x.narrow(3, 0, 32), second = x.narrow(3, 32, 32), c = wide_cos.narrow(3, 0, 32),
                               s = wide_sin.narrow(3, 0, 32);
                    torch::cat({first * c - second * s, second * c + first * s}, 3);
                  }}});
}

// Operations of one matrix product of the machine's best shape, about as many as asked.
std::function<void()> product_of(double operations, torch::Dtype dtype) {
  const auto left = torch::rand({std::max<int64_t>(1, static_cast<int64_t>(operations / (2.0 * 1024 * 1024))), 1024}).to(dtype);
  const auto right = torch::rand({1024, 1024}).to(dtype);
  return [left, right] { torch::mm(left, right); };
}

void attentions(const Bench& bench, torch::Dtype dtype, int64_t batch, int64_t tokens, bool gradient) {
  const auto joined = torch::randn({batch, tokens, 15, 64}).to(dtype).set_requires_grad(gradient);  // 9 heads of q, 3 of k, 3 of v
  const auto slope = torch::randn({batch, tokens, 9 * 64}).to(dtype);
  const auto run = [=](auto&& attend) {
    const torch::AutoGradMode mode(gradient);
    const auto part = [&](int64_t from, int64_t heads) { return joined.narrow(2, from, heads).transpose(1, 2); };
    const auto out = attend(part(0, 9), part(9, 3), part(12, 3));
    if (gradient) torch::autograd::grad({out}, {joined}, {slope});
  };
  const auto operations = static_cast<double>((gradient ? 7 : 2) * batch * 9 * 64 * tokens * (tokens + 1));
  bench.measure(
      label(gradient ? "attention, with gradient" : "attention", joined), "GFLOP/s", operations / 1e9,
      {{"ours", [=] { run([](auto q, auto k, auto v) { return kernels::attention(q, k, v, 0.125); }); }},
       {"at::scaled_dot_product_attention",
        [=] {
          run([&](auto q, auto k, auto v) {
            return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, 0.125, true).transpose(1, 2).reshape({batch, tokens, 576});
          });
        }},
       {"limit", product_of(operations, dtype)}});
}

void products(const Bench& bench, int64_t rows, int64_t in, int64_t out) {
  const auto x = torch::randn({rows, in}), w = torch::randn({out, in});
  bench.measure(fmt::format("product of {} x {} by {} outputs, fp32", rows, in, out), "GFLOP/s",
                static_cast<double>(2 * rows * in * out) / 1e9,
                {{"ours", [=] { torch::mm(x, w.t()); }},
                 {"at::mm of LibTorch", [=] { at::cpu::mm(x, w.t()); }},
                 {"limit", product_of(static_cast<double>(2 * rows * in * out), torch::kFloat32)}});
}

// Writing one token (or two at once): one way through memory for every matrix.
void few_rows(const Bench& bench, torch::Dtype dtype, int64_t rows, int64_t in, int64_t out) {
  const auto x = torch::randn({rows, in}).to(dtype), w = torch::randn({out, in}).to(dtype);
  bench.measure(fmt::format("linear of {} x {} by {} outputs, {}", rows, in, out, dtype == torch::kBFloat16 ? "bf16" : "fp32"), "GB/s",
                static_cast<double>(w.nbytes()) / 1e9,
                {{"ours", [=] { kernels::linear(x, w); }},
                 {"at::linear", [=] { at::linear(x, w); }},
                 {"limit", [bytes = w.view(torch::kFloat32)] { bytes.sum(); }}});
}

void losses(const Bench& bench, torch::Dtype dtype, int64_t rows) {
  const auto logits = torch::randn({rows, 49152}).to(dtype);
  const auto targets = torch::randint(49152, {rows}, torch::kInt64);
  const auto none = at::Reduction::None;
  bench.compare(label("cross_entropy", logits), logits.nbytes(),
                {{"ours", [&] { kernels::cross_entropy(logits, targets); }},
                 {"at::cross_entropy_loss in fp32", [&] { at::cross_entropy_loss(logits.to(torch::kFloat32), targets, {}, none); }},
                 {"logsumexp, gather", [&] {
                    const auto wide = logits.to(torch::kFloat32);
                    at::logsumexp(wide, 1) - wide.gather(1, targets.unsqueeze(1)).squeeze(1);
                  }}});
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    fmt::print(stderr, "bench_kernels: expected ROUNDS THREADS, given {} arguments\n", count - 1);
    return 2;
  }
  torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  kernels::set_up_process(std::atoi(arguments[2]));
  const Bench bench{.rounds = std::max(1, std::atoi(arguments[1]))};
  for (const int64_t rows : {1024, 8, 1}) products(bench, rows, 576, 1536), products(bench, rows, 1536, 576);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    for (const int64_t tokens : {1024, 1}) norms(bench, dtype, tokens), gates(bench, dtype, tokens);
    turns(bench, dtype, 2, 512);
    turns(bench, dtype, 1, 1);
    losses(bench, dtype, 128);
    for (const int64_t rows : {1, 2}) few_rows(bench, dtype, rows, 576, 3072), few_rows(bench, dtype, rows, 576, 49152);
    for (const bool gradient : {false, true})
      for (const int64_t tokens : {kernels::attention_least, int64_t{256}, int64_t{512}, int64_t{2048}})
        attentions(bench, dtype, 2, tokens, gradient);
  }
  return 0;
}
