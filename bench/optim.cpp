// Times optimizer updates on random data, for bench/galore.py: one line of JSON with the seconds of each round.
//
//   bench_optim adamw | fused | adamw8bit | composition8bit | copy   ROUNDS   32 Mi elements in one matrix; fused is at::_fused_adamw_,
//                                                                            composition8bit the same 8-bit rule as LibTorch operations
//   bench_optim galore gram|exact|randomized ROUNDS   the 60M configuration at rank 128: a refresh, and a plain update

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tessera/kernels/adam8bit.h"
#include "tessera/kernels/process.h"
#include "tessera/train/optim/galore.h"
#include "tessera/train/optim/registry.h"

namespace {

using namespace tessera;
constexpr int64_t kRows = 8192, kColumns = 4096;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Decode by the map, Adam, encode by a search in the map's middles: what LibTorch's operations offer.
std::function<void()> composition(const torch::Tensor& value, const torch::Tensor& grad) {
  struct State {
    torch::Tensor map, middles, codes, most;
  };
  const auto fresh = [&](bool with_sign) {
    const auto map = kernels::dynamic_map(with_sign);
    const auto table = torch::tensor(std::vector<float>(map.begin(), map.end()));
    return State{table, (table.narrow(0, 0, 255) + table.narrow(0, 1, 255)) / 2, torch::zeros({value.numel()}, torch::kUInt8),
                 torch::zeros({value.numel() / 256, 1})};
  };
  const auto encode = [](State& s, const torch::Tensor& x) {
    const auto blocks = x.view({-1, 256});
    s.most = blocks.abs().amax(1, true);
    s.codes = torch::bucketize(blocks / s.most.clamp_min(1e-30), s.middles, true).to(torch::kUInt8).view({-1});
  };
  const auto decode = [](const State& s) { return s.map.index_select(0, s.codes.to(torch::kInt)).view({-1, 256}).mul(s.most).view({-1}); };
  return [=, m = fresh(true), v = fresh(false)]() mutable {
    const auto g = grad.view({-1});
    auto first = decode(m).lerp_(g, 0.1), second = decode(v).mul_(0.999).addcmul_(g, g, 0.001);
    value.view({-1}).addcdiv_(first, second.sqrt().add_(1e-8), -1e-3);
    encode(m, first);
    encode(v, second);
  };
}

std::function<void()> update_of(const std::string& name, const torch::Tensor& value, const torch::Tensor& grad) {
  if (name == "composition8bit") return composition(value, grad);
  if (name == "copy") return [value, grad] { value.copy_(grad); };
  if (name == "fused") {
    const auto m = torch::zeros_like(value), v = torch::zeros_like(value), step = torch::ones({});
    return [=] { at::_fused_adamw_({value}, {grad}, {m}, {v}, {}, {step}, 1e-3, 0.9, 0.999, 0.0, 1e-8, false, false); };
  }
  const std::shared_ptr<train::Optimizer> optimizer =
      train::make_optimizer({.name = name}, {{.name = "w", .value = value, .matrix = true}});
  return [=, step = int64_t{0}]() mutable { optimizer->update({{0}}, {&grad, 1}, {.step = ++step, .lr = 1e-3}); };
}

nlohmann::json time_elementwise(const std::string& name, int rounds) {
  const auto value = torch::randn({kRows, kColumns}), grad = torch::randn({kRows, kColumns});
  const auto update = update_of(name, value, grad);
  update();
  nlohmann::json seconds = nlohmann::json::array();
  for (int i = 0; i < rounds; ++i) seconds.push_back(seconds_of(update));
  return {{"seconds", seconds}, {"elements", value.numel()}};
}

nlohmann::json time_galore(const std::string& svd, int rounds) {
  std::vector<train::Parameter> parameters{{.name = "embed", .value = torch::randn({32000, 512})},
                                           {.name = "head", .value = torch::randn({32000, 512})}};
  for (int layer = 0; layer < 8; ++layer) {
    for (int i = 0; i < 4; ++i) parameters.push_back({.name = "attn", .value = torch::randn({512, 512}), .matrix = true});
    for (int i = 0; i < 2; ++i) parameters.push_back({.name = "up", .value = torch::randn({1376, 512}), .matrix = true});
    parameters.push_back({.name = "down", .value = torch::randn({512, 1376}), .matrix = true});
  }
  std::vector<size_t> which;
  std::vector<torch::Tensor> grads;
  for (const auto& parameter : parameters) {
    which.push_back(which.size());
    grads.push_back(torch::randn(parameter.value.sizes()));
  }
  const auto way = svd == "exact" ? train::Svd::exact : svd == "gram" ? train::Svd::gram : train::Svd::randomized;
  const auto optimizer = train::make_optimizer({.name = "galore-adamw", .rank = 128, .gap = 2, .svd = way}, parameters);
  nlohmann::json refresh = nlohmann::json::array(), plain = nlohmann::json::array();
  for (int64_t step = 1; step <= 2 * rounds + 2; ++step) {
    const double seconds = seconds_of([&] { optimizer->update(which, grads, {.step = step, .lr = 1e-3}); });
    if (step > 2) (step % 2 == 1 ? refresh : plain).push_back(seconds);
  }
  return {{"refresh", refresh}, {"plain", plain}};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what.empty()) {
    fmt::print(stderr, "bench_optim adamw|fused|adamw8bit|composition8bit|copy ROUNDS; bench_optim galore gram|exact|randomized ROUNDS\n");
    return 2;
  }
  torch::NoGradGuard no_grad;
  kernels::set_up_process(at::get_num_threads());
  torch::manual_seed(1);
  const auto document =
      what == "galore" ? time_galore(argv[2], argc > 3 ? std::atoi(argv[3]) : 3) : time_elementwise(what, std::atoi(argv[2]));
  fmt::print("{}\n", document.dump());
  return 0;
}
