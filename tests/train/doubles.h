#pragma once
// What the training tests share: a plain AdamW, a task of a few linear layers, folders that go away.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>

#include "tessera/train/trainer.h"

namespace tessera::train {

// AdamW by its definition (Loshchilov and Hutter, arXiv 1711.05101, decoupled decay), one torch operation after another.
class PlainAdamW : public Optimizer {
 public:
  explicit PlainAdamW(std::vector<Parameter> parameters) : Optimizer(std::move(parameters)), moments_(parameters_.size()) {}

  void update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) override {
    torch::NoGradGuard no_grad;
    for (size_t k = 0; k < which.size(); ++k) {
      auto& [m, v, count] = moments_[which[k]];
      auto& parameter = parameters_[which[k]];
      const auto g = grads[k].to(torch::kFloat32);
      if (!m.defined()) m = torch::zeros_like(g), v = torch::zeros_like(g), count = torch::zeros({}, torch::kInt64);
      count += 1;
      const double t = static_cast<double>(count.item<int64_t>()), rate = time.lr * parameter.lr_scale;
      m.mul_(0.9).add_(g, 0.1);
      v.mul_(0.95).addcmul_(g, g, 0.05);
      parameter.value.mul_(1.0 - rate * parameter.weight_decay);
      parameter.value.addcdiv_(m / (1.0 - std::pow(0.9, t)), (v / (1.0 - std::pow(0.95, t))).sqrt().add_(1e-8), -rate);
    }
  }
  StateTensors state(size_t i) const override {
    const auto& [m, v, count] = moments_[i];
    if (!m.defined()) return {};
    return {{"m", m}, {"v", v}, {"count", count}};
  }
  void load_state(size_t i, const StateTensors& state) override {
    const std::map<std::string, torch::Tensor> by_name(state.begin(), state.end());
    moments_[i] = {by_name.at("m"), by_name.at("v"), by_name.at("count")};
  }
  int64_t state_bytes(size_t i) const override { return 8 * parameters_[i].value.numel() + 8; }

 private:
  struct Moments {
    torch::Tensor m, v, count;
  };
  std::vector<Moments> moments_;
};

inline std::unique_ptr<Optimizer> plain_adamw(std::vector<Parameter> parameters) {
  return std::make_unique<PlainAdamW>(std::move(parameters));
}

// A folder under the test's temporary place, gone when the test ends.
class TrainFolder {
 public:
  TrainFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera_train_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TrainFolder() { std::filesystem::remove_all(path_); }
  TrainFolder(const TrainFolder&) = delete;
  TrainFolder& operator=(const TrainFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// y = x W1 W2 regressed on a fixed target; the source draws its rows from LibTorch's generator and counts them.
struct Regression {
  torch::Tensor w1, w2;
  int64_t rows = 12, micro = 12, seen = 0;
  double poison = 0.0;  // added to the loss
  torch::Tensor x, y;   // of the present step

  explicit Regression(torch::Dtype dtype = torch::kFloat32) {
    torch::manual_seed(3);
    w1 = (torch::randn({5, 7}) * 0.5).to(dtype).requires_grad_(true);
    w2 = (torch::randn({7, 2}) * 0.5).to(dtype).requires_grad_(true);
  }

  Task task() {
    Task t;
    t.parameters = {{.name = "w1", .value = w1, .matrix = true}, {.name = "w2", .value = w2, .weight_decay = 0.1}};
    t.micro_batches = [this](int64_t) { return (rows + micro - 1) / micro; };
    t.batch = [this](int64_t, int64_t m) {
      if (m == 0) x = torch::randn({rows, 5}), y = torch::randn({rows, 2}), seen += rows;
      const int64_t begin = m * micro, n = std::min(micro, rows - begin);
      const auto bx = x.narrow(0, begin, n), by = y.narrow(0, begin, n);
      return Batch{.counted = n, .tokens = n, .loss = [this, bx, by] {
                     const auto out = torch::mm(torch::mm(bx.to(w1.dtype()), w1), w2).to(torch::kFloat32);
                     return (out - by).square().sum() + poison;
                   }};
    };
    t.position = [this] { return nlohmann::ordered_json{{"seen", seen}}; };
    t.seek = [this](const nlohmann::ordered_json& p) { seen = p["seen"]; };
    t.write_model = [this](const std::filesystem::path& folder) {
      torch::save(std::vector<torch::Tensor>{w1, w2}, (folder / "model.pt").string());
    };
    t.read_model = [this](const std::filesystem::path& folder) {
      torch::NoGradGuard no_grad;
      std::vector<torch::Tensor> read;
      torch::load(read, (folder / "model.pt").string());
      w1.copy_(read[0]);
      w2.copy_(read[1]);
    };
    return t;
  }

  TrainerOptions options() const {
    return {.optimizer = plain_adamw,
            .schedule = {.decay = Decay::cosine, .peak = 0.02, .lowest = 0.001, .warmup = 30, .total = 1200},
            .clip = 1.0};
  }
};

}  // namespace tessera::train
