#include "tessera/methods/danube/layout.h"

#include <algorithm>
#include <map>

#include "tessera/tensor/shapes.h"

namespace tessera::danube {

lm::Json public_config(std::string_view name) {
  for (const std::string_view prefix : {"h2oai/", "h2o-"})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  const bool second = name.starts_with("danube2-1.8b"), first = name.starts_with("danube-1.8b");
  const auto rest = name.substr(std::min(name.size(), first ? size_t{11} : size_t{12}));
  const bool kind = rest.empty() || rest == "-base" || rest == "-sft" || rest == "-chat";
  if ((!first && !second) || !kind) return nullptr;
  lm::Json config = {{"architectures", {"MistralForCausalLM"}},
                     {"attention_dropout", 0.0},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2},
                     {"hidden_act", "silu"},
                     {"hidden_size", 2560},
                     {"initializer_range", 0.02},
                     {"intermediate_size", 6912},
                     {"max_position_embeddings", second ? 8192 : 16384},
                     {"model_type", "mistral"},
                     {"num_attention_heads", 32},
                     {"num_hidden_layers", 24},
                     {"num_key_value_heads", 8},
                     {"rms_norm_eps", 1e-5},
                     {"rope_theta", 10000.0},
                     {"sliding_window", second ? lm::Json() : lm::Json(4096)},
                     {"tie_word_embeddings", false},
                     {"torch_dtype", "bfloat16"},
                     {"vocab_size", 32000}};
  if (second || rest == "-chat") config["pad_token_id"] = 0;
  return config;
}

std::vector<LayoutTensor> layout_of(const lm::ModelConfig& c) {
  std::vector<LayoutTensor> all{{"model.embed_tokens.weight", {c.vocab, c.width}}};
  const int64_t queries = c.heads * c.head_width, keys = c.kv_heads * c.head_width;
  for (int64_t n = 0; n < c.depth(); ++n) {
    const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
      all.push_back({fmt::format("model.layers.{}.{}.weight", n, name), std::move(shape)});
    };
    const int64_t ffn = c.layers[static_cast<size_t>(n)].ffn_width;
    add("input_layernorm", {c.width});
    add("post_attention_layernorm", {c.width});
    add("self_attn.q_proj", {queries, c.width});
    add("self_attn.k_proj", {keys, c.width});
    add("self_attn.v_proj", {keys, c.width});
    add("self_attn.o_proj", {c.width, queries});
    add("mlp.gate_proj", {ffn, c.width});
    add("mlp.up_proj", {ffn, c.width});
    add("mlp.down_proj", {c.width, ffn});
  }
  all.push_back({"model.norm.weight", {c.width}});
  if (!c.tied_head) all.push_back({"lm_head.weight", {c.vocab, c.width}});
  return all;
}

std::vector<std::string> layout_differences(const lm::ModelConfig& config, const std::vector<LayoutTensor>& found) {
  std::map<std::string, std::vector<int64_t>> have;
  for (const auto& tensor : found) have.emplace(tensor.name, tensor.shape);
  std::vector<std::string> differences;
  for (const auto& wanted : layout_of(config)) {
    const auto at = have.find(wanted.name);
    if (at == have.end()) {
      differences.push_back(fmt::format("missing {} {}", wanted.name, tensor::shape_text(wanted.shape)));
      continue;
    }
    if (at->second != wanted.shape)
      differences.push_back(
          fmt::format("{} is {}, expected {}", wanted.name, tensor::shape_text(at->second), tensor::shape_text(wanted.shape)));
    have.erase(at);
  }
  for (const auto& [name, shape] : have) differences.push_back(fmt::format("unknown {} {}", name, tensor::shape_text(shape)));
  return differences;
}

int64_t cache_bytes(const lm::ModelConfig& config, int64_t tokens) {
  return lm::kv_bytes_per_token(config, 2) * (config.window > 0 ? std::min(tokens, config.window) : tokens);
}

}  // namespace tessera::danube
