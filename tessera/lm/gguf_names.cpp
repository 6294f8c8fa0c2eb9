#include <map>

#include "tessera/base/error.h"
#include "tessera/base/json.h"
#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

// The names that GGUF gives to tensors, the same for all architectures but for the flags of their entries.
namespace tessera::lm {

Json config_from_gguf(const tensor::GgufFile& file) {
  // Files that Tessera wrote carry their config.json: GGUF has no keys for some of it (Gemma's attention scale, which layers slide ...).
  if (file.has("tessera.config")) return parse_json(file.string("tessera.config"), file.bytes().name + ", tessera.config");
  const auto name = file.string("general.architecture");
  std::string known;
  for (const auto& architecture : architectures()) {
    if (architecture.from_gguf == nullptr) continue;
    if (architecture.gguf == name) return architecture.from_gguf(file);
    known += (known.empty() ? "" : ", ") + std::string(architecture.gguf);
  }
  throw InputError("{}: general.architecture {} is not known; known are {}", file.bytes().name, tessera::quoted(name), known);
}

// "self_attn.q_proj" and the like -> GGUF's name; with sandwich norms two of them mean something else.
static std::string gguf_module(const std::string& module, bool sandwich) {
  static const std::map<std::string, std::string> names{{"self_attn.q_proj", "attn_q"},
                                                        {"self_attn.k_proj", "attn_k"},
                                                        {"self_attn.v_proj", "attn_v"},
                                                        {"self_attn.o_proj", "attn_output"},
                                                        {"self_attn.q_norm", "attn_q_norm"},
                                                        {"self_attn.k_norm", "attn_k_norm"},
                                                        {"mlp.gate_proj", "ffn_gate"},
                                                        {"mlp.up_proj", "ffn_up"},
                                                        {"mlp.down_proj", "ffn_down"},
                                                        {"input_layernorm", "attn_norm"},
                                                        {"pre_feedforward_layernorm", "ffn_norm"},
                                                        {"post_feedforward_layernorm", "post_ffw_norm"}};
  if (module == "post_attention_layernorm") return sandwich ? "post_attention_norm" : "ffn_norm";
  return names.at(module);
}

StoredAs stored_in_gguf(const ModelConfig& config, const std::string& parameter) {
  static const std::map<std::string, std::string> whole{{"model.embed_tokens.weight", "token_embd.weight"},
                                                        {"model.embed_positions.weight", "position_embd.weight"},
                                                        {"model.norm.weight", "output_norm.weight"},
                                                        {"model.norm.bias", "output_norm.bias"},
                                                        {"lm_head.weight", "output.weight"}};
  const auto& architecture = architecture_named(config.architecture);
  StoredAs stored;
  if (parameter.ends_with("norm.weight")) stored.add = config.norm_offset;
  if (const auto at = whole.find(parameter); at != whole.end()) {
    stored.name = at->second;
    return stored;
  }
  const std::string rest = parameter.substr(std::string_view("model.layers.").size());
  const auto dot = rest.find('.'), last = rest.rfind('.');
  const auto number = rest.substr(0, dot), module = rest.substr(dot + 1, last - dot - 1), kind = rest.substr(last + 1);
  const bool q = module == "self_attn.q_proj", k = module == "self_attn.k_proj", v = module == "self_attn.v_proj";
  if (architecture.gguf_fused_qkv && (q || k || v)) {
    stored.name = fmt::format("blk.{}.attn_qkv.{}", number, kind);
    stored.parts = 3;
    stored.part = q ? 0 : k ? 1 : 2;
    return stored;
  }
  stored.name = fmt::format("blk.{}.{}.{}", number, gguf_module(module, config.placement == NormPlacement::sandwich), kind);
  if (architecture.gguf_interleaved_qk && (q || k)) stored.interleaved_heads = q ? config.heads : config.kv_heads;
  return stored;
}

}  // namespace tessera::lm
