#include <cmath>
#include <map>

#include "tessera/base/error.h"
#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

// GPT-2: learned positions, LayerNorm, biases everywhere, plain GELU layers; matrices stored [in, out], q, k and v as one.
namespace tessera::lm {

static void read_gpt2(const ConfigReader& reader, ModelConfig& c) {
  c.vocab = reader.integer("vocab_size");
  c.width = reader.integer("n_embd");
  c.heads = c.kv_heads = reader.integer("n_head");
  if (c.width % c.heads != 0) throw InputError("config.json: n_embd {} is no multiple of n_head {}", c.width, c.heads);
  c.head_width = c.width / c.heads;
  c.max_positions = reader.integer("n_positions", 1024);
  c.norm = nn::NormKind::layer;
  c.norm_eps = reader.number("layer_norm_epsilon", 1e-5);
  c.qkv_bias = c.out_bias = c.ffn_bias = true;
  reader.only("scale_attn_by_inverse_layer_idx", false);
  reader.only("add_cross_attention", false);
  c.attention_scale = reader.flag("scale_attn_weights", true) ? 1.0 / std::sqrt(static_cast<double>(c.head_width)) : 1.0;
  c.activation = activation_named(reader.string("activation_function", "gelu_new"));
  c.gated = false;
  c.learned_positions = true;
  c.tied_head = reader.flag("tie_word_embeddings", true);
  c.layers = read_layers(reader, reader.integer("n_layer"), reader.integer("n_inner", 4 * c.width), [](int64_t) { return false; });
}

static StoredAs gpt2_in_folder(const std::string& parameter) {
  static const std::map<std::string_view, std::string_view> whole{{"model.embed_tokens.weight", "transformer.wte.weight"},
                                                                  {"model.embed_positions.weight", "transformer.wpe.weight"},
                                                                  {"model.norm.weight", "transformer.ln_f.weight"},
                                                                  {"model.norm.bias", "transformer.ln_f.bias"},
                                                                  {"lm_head.weight", "lm_head.weight"}};
  static const std::map<std::string_view, std::string_view> modules{
      {"input_layernorm", "ln_1"},         {"post_attention_layernorm", "ln_2"}, {"self_attn.q_proj", "attn.c_attn"},
      {"self_attn.k_proj", "attn.c_attn"}, {"self_attn.v_proj", "attn.c_attn"},  {"self_attn.o_proj", "attn.c_proj"},
      {"mlp.up_proj", "mlp.c_fc"},         {"mlp.down_proj", "mlp.c_proj"}};
  if (const auto at = whole.find(parameter); at != whole.end()) return {.name = std::string(at->second)};
  // model.layers.{i}.{module}.{weight|bias}
  const std::string_view rest = std::string_view(parameter).substr(std::string_view("model.layers.").size());
  const auto dot = rest.find('.'), last = rest.rfind('.');
  const auto number = rest.substr(0, dot), module = rest.substr(dot + 1, last - dot - 1), kind = rest.substr(last + 1);
  StoredAs stored{.name = fmt::format("transformer.h.{}.{}.{}", number, modules.at(module), kind)};
  stored.transposed = kind == "weight" && module.find('.') != std::string_view::npos;
  if (modules.at(module) == "attn.c_attn") {
    stored.parts = 3;
    stored.part = module.ends_with("q_proj") ? 0 : module.ends_with("k_proj") ? 1 : 2;
  }
  return stored;
}

static bool gpt2_ignored(const std::string& tensor) { return tensor.ends_with(".attn.bias") || tensor.ends_with(".attn.masked_bias"); }

static Json gpt2_from_gguf(const tensor::GgufFile& file) {
  const auto* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    throw InputError("{} has no matrix token_embd.weight; it is no language model", file.bytes().name);
  Json config{{"model_type", "gpt2"},
              {"architectures", {"GPT2LMHeadModel"}},
              {"vocab_size", embedding->shape[0]},
              {"n_embd", file.i64("gpt2.embedding_length")},
              {"n_head", file.i64("gpt2.attention.head_count")},
              {"n_layer", file.i64("gpt2.block_count")},
              {"n_positions", file.i64("gpt2.context_length")},
              {"n_inner", file.i64("gpt2.feed_forward_length")},
              {"layer_norm_epsilon", file.f64("gpt2.attention.layer_norm_epsilon")},
              {"activation_function", "gelu_new"},
              {"tie_word_embeddings", file.find("output.weight") == nullptr}};
  for (const char* role : {"bos", "eos"}) {
    const auto key = fmt::format("tokenizer.ggml.{}_token_id", role);
    if (file.has(key)) config[fmt::format("{}_token_id", role)] = file.u64(key);
  }
  return config;
}

static void gpt2_to_gguf(const ModelConfig& c, tensor::GgufWriter& out) {
  out.set_u32("gpt2.context_length", static_cast<uint32_t>(c.max_positions));
  out.set_u32("gpt2.embedding_length", static_cast<uint32_t>(c.width));
  out.set_u32("gpt2.block_count", static_cast<uint32_t>(c.depth()));
  out.set_u32("gpt2.feed_forward_length", static_cast<uint32_t>(c.layers.front().ffn_width));
  out.set_u32("gpt2.attention.head_count", static_cast<uint32_t>(c.heads));
  out.set_f32("gpt2.attention.layer_norm_epsilon", static_cast<float>(c.norm_eps));
}

Architecture arch_gpt2() {
  return {.name = "gpt2",
          .class_name = "GPT2LMHeadModel",
          .gguf = "gpt2",
          .ffn_width = "n_inner",
          .prefix = "transformer.",
          .gguf_interleaved_qk = false,
          .gguf_fused_qkv = true,
          .read = read_gpt2,
          .from_gguf = gpt2_from_gguf,
          .to_gguf = gpt2_to_gguf,
          .in_folder = gpt2_in_folder,
          .ignored = gpt2_ignored};
}

}  // namespace tessera::lm
