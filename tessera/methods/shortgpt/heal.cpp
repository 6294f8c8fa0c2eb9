#include "tessera/methods/shortgpt/heal.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/base/random.h"

namespace tessera::shortgpt {
namespace {

double rate_at(int64_t step, const HealOptions& options) {
  const int64_t warm = std::max<int64_t>(1, options.steps / 20);
  if (step < warm) return options.learning_rate * static_cast<double>(step + 1) / static_cast<double>(warm);
  const double share = static_cast<double>(step - warm) / static_cast<double>(std::max<int64_t>(1, options.steps - warm));
  return options.learning_rate * (0.1 + 0.9 * 0.5 * (1 + std::cos(std::numbers::pi * share)));
}

// The windows of one length, drawn without replacement; a new order when all were seen.
class WindowDraw {
 public:
  WindowDraw(const Windows& windows, uint64_t seed) : random_(seed, "shortgpt/heal") {
    for (const auto& window : windows) {
      if (window.size(0) == windows.front().size(0)) whole_.push_back(window);
    }
  }
  torch::Tensor next(int64_t batch) {
    std::vector<torch::Tensor> rows;
    for (int64_t i = 0; i < batch; ++i) {
      if (order_.empty()) {
        order_.resize(whole_.size());
        std::iota(order_.begin(), order_.end(), size_t{0});
        random_.shuffle(std::span(order_));
      }
      rows.push_back(whole_[order_.back()]);
      order_.pop_back();
    }
    return torch::stack(rows);
  }

 private:
  RandomStream random_;
  Windows whole_;
  std::vector<size_t> order_;
};

torch::Tensor step_loss(lm::Transformer& model, lm::Transformer& dense, const torch::Tensor& ids, double distill) {
  const auto inputs = ids.slice(1, 0, ids.size(1) - 1), targets = ids.slice(1, 1);
  const auto logits = model->logits(model->hidden(inputs)).to(torch::kFloat);
  auto loss = torch::nll_loss(torch::log_softmax(logits, -1).flatten(0, 1), targets.flatten());
  if (distill > 0) {
    torch::Tensor wanted;
    {
      torch::NoGradGuard no_gradient;
      wanted = dense->logits(dense->hidden(inputs)).to(torch::kFloat);
    }
    loss = loss + distill * distillation_loss(wanted, logits);
  }
  return loss;
}

void ask_gradients(torch::nn::Module& module, bool wanted) {
  for (auto& parameter : module.parameters()) parameter.requires_grad_(wanted);
}

}  // namespace

std::vector<int64_t> removed_layers(const lm::ModelConfig& config) {
  const auto own = config.raw.find("tessera");
  std::vector<int64_t> removed;
  if (own != config.raw.end() && own->contains("removed_layers")) removed = (*own)["removed_layers"].get<std::vector<int64_t>>();
  if (removed.empty()) {
    throw InputError("PRUNED: its config.json names no removed layers; give a folder that `tessera shortgpt prune` wrote");
  }
  std::sort(removed.begin(), removed.end());
  return removed;
}

std::vector<int64_t> insert_mlps(lm::Transformer& model, std::vector<int64_t> removed, int64_t width, uint64_t seed) {
  torch::NoGradGuard no_gradient;
  std::sort(removed.begin(), removed.end());
  auto random = at::detail::createCPUGenerator(seed);
  for (int64_t index : removed) {
    if (index > model->depth())
      throw InputError("removed layer {} does not fit a model of {} layers; give the pruned model itself", index, model->depth());
    auto config = model->config();
    config.placement = lm::NormPlacement::pre;
    lm::Block block(config, lm::LayerConfig{.sliding = false, .attention = false, .ffn = true, .ffn_width = width});
    for (auto& parameter : block->named_parameters()) {
      const auto& name = parameter.key();
      auto& value = parameter.value();
      if (name.find("norm") != std::string::npos) {
        value.fill_(name.ends_with("bias") ? 0.0 : 1.0 - config.norm_offset);
      } else if (name.ends_with("bias") || name.find("down_proj") != std::string::npos) {
        value.zero_();
      } else {
        value.normal_(0, config.init_std, random);
      }
    }
    block->to(model->device(), model->dtype());
    block->mlp->fuse();
    model->insert_block(index, block);
  }
  return removed;  // ascending: each block is back at its index in the dense model
}

std::vector<double> heal(lm::Transformer& model, const std::vector<int64_t>& inserted, const Windows& windows, const HealOptions& options,
                         lm::Transformer dense) {
  if (options.distill > 0 && !dense) throw InputError("--distill {} needs the dense model; give --dense MODEL", options.distill);
  if (windows.empty() || windows.front().size(0) < 2) throw InputError("no window of two tokens to train on; give a longer text");
  ask_gradients(*model, options.train_all);
  std::vector<torch::Tensor> trained;
  if (options.train_all) trained = model->parameters();
  for (int64_t index : inserted) {
    ask_gradients(*model->block(index), true);
    if (!options.train_all) {
      for (const auto& parameter : model->block(index)->parameters()) trained.push_back(parameter);
    }
  }
  torch::optim::AdamW optimizer(trained,
                                torch::optim::AdamWOptions(options.learning_rate).betas({0.9, 0.98}).weight_decay(options.weight_decay));
  WindowDraw draw(windows, options.seed);
  std::vector<double> losses;
  for (int64_t step = 0; step < options.steps; ++step) {
    for (auto& group : optimizer.param_groups()) group.options().set_lr(rate_at(step, options));
    optimizer.zero_grad();
    auto loss = step_loss(model, dense, draw.next(options.batch), options.distill);
    loss.backward();
    torch::nn::utils::clip_grad_norm_(trained, options.clip);
    optimizer.step();
    losses.push_back(loss.item<double>());
    if (!std::isfinite(losses.back())) {
      throw WorkError("healing: the loss of step {} is not finite; lower --lr (now {})", step + 1, options.learning_rate);
    }
    if (options.on_step && !options.on_step(step + 1, losses.back())) break;
  }
  ask_gradients(*model, false);
  model->zero_grad();
  return losses;
}

torch::Tensor distillation_loss(const torch::Tensor& dense_logits, const torch::Tensor& logits) {
  const auto wanted = torch::log_softmax(dense_logits, -1), ours = torch::log_softmax(logits, -1);
  return (wanted.exp() * (wanted - ours)).sum(-1).mean();
}

}  // namespace tessera::shortgpt
