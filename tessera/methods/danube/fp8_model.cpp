#include "tessera/methods/danube/fp8_model.h"

#include "tessera/base/error.h"
#include "tessera/nn/linear.h"

namespace tessera::danube {

using Json = nlohmann::ordered_json;

Fp8Model::Fp8Model(lm::Transformer model, int64_t history) : model_(std::move(model)) {
  if (model_->dtype() != torch::kFloat32) throw InputError("FP8 is emulated on float32 weights; give --dtype fp32");
  for (const auto& named : model_->named_modules("", /*include_self=*/false)) {
    const auto layer = std::dynamic_pointer_cast<nn::LinearImpl>(named.value());
    if (!layer) continue;
    const auto scales = std::make_shared<Fp8Scales>(history);
    layers_.push_back({named.key(), scales});
    layer->product = [scales](const torch::Tensor& x, const torch::Tensor& weight) {
      return torch::GradMode::is_enabled() ? fp8_linear(x, weight, scales) : at::linear(x, weight);
    };
  }
}

Fp8Model::~Fp8Model() {
  for (const auto& named : model_->named_modules("", /*include_self=*/false))
    if (const auto layer = std::dynamic_pointer_cast<nn::LinearImpl>(named.value())) layer->product = nullptr;
}

void Fp8Model::forget_losses() {
  for (auto& layer : layers_) {
    layer.scales->input.forget_losses();
    layer.scales->weight.forget_losses();
    layer.scales->gradient.forget_losses();
  }
}

Json Fp8Model::state() const {
  auto state = Json::object();
  for (const auto& layer : layers_)
    state[layer.name] = {layer.scales->input.history(), layer.scales->weight.history(), layer.scales->gradient.history()};
  return state;
}

void Fp8Model::restore(const Json& state) {
  for (auto& layer : layers_) {
    if (!state.is_object() || !state.contains(layer.name) || state[layer.name].size() != 3)
      throw InputError("the checkpoint has no FP8 scales of {}; resume with the precision of the run", layer.name);
    const auto& three = state[layer.name];
    layer.scales->input.restore(three[0].get<std::vector<double>>());
    layer.scales->weight.restore(three[1].get<std::vector<double>>());
    layer.scales->gradient.restore(three[2].get<std::vector<double>>());
  }
}

train::Task with_fp8_state(train::Task task, const std::shared_ptr<Fp8Model>& fp8) {
  task.position = [fp8, data = std::move(task.position)] { return Json{{"data", data()}, {"fp8", fp8->state()}}; };
  task.seek = [fp8, data = std::move(task.seek)](const Json& position) {
    if (!position.is_object() || !position.contains("data") || !position.contains("fp8"))
      throw InputError("the checkpoint was not trained with FP8; resume with the precision of the run");
    data(position["data"]);
    fp8->restore(position["fp8"]);
  };
  return task;
}

}  // namespace tessera::danube
