#include "tessera/methods/galore/memory.h"

#include "tessera/base/error.h"
#include "tessera/tensor/weights.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/optim/stateful.h"

namespace tessera::galore {

std::vector<ModelTensor> tensors_of(const lm::ModelConfig& c) {
  std::vector<ModelTensor> all{{"model.embed_tokens.weight", {c.vocab, c.width}}};
  if (c.learned_positions) all.push_back({"model.embed_positions.weight", {c.max_positions, c.width}});
  const int64_t wide = c.heads * c.head_width, keys = c.kv_heads * c.head_width;
  for (int64_t i = 0; i < c.depth(); ++i) {
    const auto& layer = c.layers[i];
    const std::string prefix = fmt::format("model.layers.{}.", i);
    const auto linear = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
      all.push_back({prefix + name + ".weight", {out, in}, true});
      if (bias) all.push_back({prefix + name + ".bias", {out}});
    };
    if (layer.attention) {
      linear("self_attn.q_proj", wide, c.width, c.qkv_bias);
      linear("self_attn.k_proj", keys, c.width, c.qkv_bias);
      linear("self_attn.v_proj", keys, c.width, c.qkv_bias);
      linear("self_attn.o_proj", c.width, wide, c.out_bias);
    }
    if (layer.ffn) {
      if (c.gated) linear("mlp.gate_proj", layer.ffn_width, c.width, c.ffn_bias);
      linear("mlp.up_proj", layer.ffn_width, c.width, c.ffn_bias);
      linear("mlp.down_proj", c.width, layer.ffn_width, c.ffn_bias);
    }
    // Gains and what else a block has beside its linear layers.
    int64_t rest = lm::block_parameter_count(c, i);
    for (const auto& tensor : all) {
      if (tensor.name.starts_with(prefix)) rest -= tensor.elements();
    }
    if (rest > 0) all.push_back({prefix + "norms", {rest}});
  }
  if (!c.tied_head) all.push_back({"lm_head.weight", {c.vocab, c.width}});
  int64_t rest = lm::parameter_count(c);
  for (const auto& tensor : all) rest -= tensor.elements();
  if (rest > 0) all.push_back({"model.norm", {rest}});
  return all;
}

std::vector<ModelTensor> tensors_in(const std::filesystem::path& file) {
  std::vector<ModelTensor> all;
  const auto weights = tensor::Weights::open(file);
  for (const auto& info : weights.tensors()) {
    const bool inner =
        info.name.find("layers.") != std::string::npos || info.name.starts_with("blk.") || info.name.find(".h.") != std::string::npos;
    all.push_back({info.name, info.shape, inner && info.shape.size() == 2});
  }
  return all;
}

std::vector<train::Parameter> shapes_of(const std::vector<ModelTensor>& tensors, torch::Dtype dtype) {
  std::vector<train::Parameter> parameters;
  parameters.reserve(tensors.size());
  for (const auto& each : tensors) {
    const auto value = torch::empty(each.shape, torch::dtype(dtype).device(torch::kMeta));
    parameters.push_back({.name = each.name, .value = value, .matrix = each.matrix});
  }
  return parameters;
}

MemoryPlan memory_plan(const std::vector<ModelTensor>& tensors, const MemoryOptions& options) {
  auto parameters = shapes_of(tensors, options.element == 2 ? torch::kBFloat16 : torch::kFloat32);
  const auto counted = train::count_trained(parameters, {}, options.optim, {.masters = options.masters, .per_layer = options.per_layer});
  const auto optimizer = train::make_optimizer(options.optim, std::move(parameters));
  const auto& stateful = dynamic_cast<const train::StatefulOptimizer&>(*optimizer);
  MemoryPlan plan{counted.step};
  plan.activations = options.model.activations;
  plan.head = options.model.head;
  plan.tied = options.model.tied;
  plan.masters = counted.masters;
  for (size_t i = 0; i < tensors.size(); ++i) {
    plan.elements += tensors[i].elements();
    if (tensors[i].matrix) plan.matrix_elements += tensors[i].elements();
    plan.largest_gradient = std::max(plan.largest_gradient, tensors[i].elements() * options.element);
    for (const auto& slot : stateful.layout(i)) {
      const bool projector = slot.name.starts_with("ortho_");
      const int64_t elements = c10::multiply_integers(slot.shape);
      (projector ? plan.projectors : plan.moments) += elements * static_cast<int64_t>(c10::elementSize(slot.dtype));
      if (slot.name == "step" || slot.name == "rank" || slot.name.ends_with("_absmax") || slot.name.ends_with("_scale") ||
          slot.name.ends_with("_zero"))
        continue;
      (projector ? plan.projector_elements : plan.moment_elements) += elements;
    }
  }
  plan.weights = plan.elements * options.element;
  return plan;
}

int64_t largest_rank(const std::vector<ModelTensor>& tensors, MemoryOptions options, int64_t budget) {
  int64_t least = 0, most = 1;  // least fits, most + 1 does not or is of no use
  for (const auto& each : tensors) {
    if (each.matrix) most = std::max(most, *std::min_element(each.shape.begin(), each.shape.end()));
  }
  while (least < most) {
    const int64_t middle = least + (most - least + 1) / 2;
    options.optim.rank = middle;
    if (memory_plan(tensors, options).bytes() <= budget) {
      least = middle;
    } else {
      most = middle - 1;
    }
  }
  return least;
}

}  // namespace tessera::galore
