#include "tessera/methods/shortgpt/layered.h"

namespace tessera::shortgpt {
namespace {

class TransformerLayers : public LayeredModel {
 public:
  TransformerLayers(lm::Transformer model, bool branches) : model_(std::move(model)), branches_(branches) {}

  int64_t depth() const override { return branches_ ? 2 * model_->depth() : model_->depth(); }

  torch::Tensor start(const torch::Tensor& ids) override {
    pass_ = model_->start(ids);
    return model_->embed(ids, pass_);
  }

  torch::Tensor layer(int64_t index, const torch::Tensor& x) override {
    if (!branches_) return model_->block(index)->forward(x, pass_, index);
    const int64_t block = index / 2;
    return index % 2 == 0 ? model_->block(block)->after_attention(x, pass_, block) : model_->block(block)->after_ffn(x);
  }

  torch::Tensor final_norm(const torch::Tensor& x) override { return model_->final_norm(x); }
  torch::Tensor losses(const torch::Tensor& normed, const torch::Tensor& targets) override { return model_->losses(normed, targets); }

 private:
  lm::Transformer model_;
  bool branches_;
  lm::Pass pass_;
};

// Model: nn::Mamba or nn::Rwkv.
template <class Model>
class RecurrentLayers : public LayeredModel {
 public:
  explicit RecurrentLayers(Model model) : model_(std::move(model)) {}

  int64_t depth() const override { return model_->depth(); }
  torch::Tensor start(const torch::Tensor& ids) override { return model_->embed(ids); }
  torch::Tensor layer(int64_t index, const torch::Tensor& x) override { return model_->block(index)->forward(x); }
  torch::Tensor final_norm(const torch::Tensor& x) override { return model_->final_norm(x); }

  torch::Tensor losses(const torch::Tensor& normed, const torch::Tensor& targets) override {
    const auto logits = model_->logits(normed).to(torch::kFloat);
    return torch::logsumexp(logits, -1) - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1);
  }

 private:
  Model model_;
};

}  // namespace

std::unique_ptr<LayeredModel> layers_of(lm::Transformer model, bool branches) {
  return std::make_unique<TransformerLayers>(std::move(model), branches);
}

std::unique_ptr<LayeredModel> layers_of(nn::Mamba model) { return std::make_unique<RecurrentLayers<nn::Mamba>>(std::move(model)); }
std::unique_ptr<LayeredModel> layers_of(nn::Rwkv model) { return std::make_unique<RecurrentLayers<nn::Rwkv>>(std::move(model)); }

}  // namespace tessera::shortgpt
