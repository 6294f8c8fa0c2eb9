#include <algorithm>
#include <cmath>
#include <cstring>

#include "tessera/base/error.h"
#include "tessera/lm/architecture.h"
#include "tessera/tensor/gguf.h"

// Llama 1 to 3 and everything that is one by another name (SmolLM2, TinyLlama, Yi ...), and what its relatives share.
namespace tessera::lm {

void read_llama_like(const ConfigReader& reader, ModelConfig& c) {
  c.vocab = reader.integer("vocab_size");
  c.width = reader.integer("hidden_size");
  c.heads = reader.integer("num_attention_heads");
  c.kv_heads = reader.integer("num_key_value_heads", c.heads);
  if (!reader.has("head_dim") && c.width % c.heads != 0) {
    throw InputError("config.json: hidden_size {} is no multiple of {} heads; give head_dim", c.width, c.heads);
  }
  c.head_width = reader.integer("head_dim", c.width / c.heads);
  c.max_positions = reader.integer("max_position_embeddings", 2048);
  c.norm_eps = reader.number("rms_norm_eps", 1e-6);
  c.qkv_bias = c.out_bias = reader.flag("attention_bias", false);
  c.ffn_bias = reader.flag("mlp_bias", false);
  c.attention_scale = 1.0 / std::sqrt(static_cast<double>(c.head_width));
  c.activation = activation_named(reader.string("hidden_act", "silu"));
  c.rope = c.local_rope = read_rope(reader, 10000.0);
  c.tied_head = reader.flag("tie_word_embeddings", false);
  reader.only("pretraining_tp", 1);
  reader.only("partial_rotary_factor", 1.0);
  c.layers = read_layers(reader, reader.integer("num_hidden_layers"), reader.integer("intermediate_size"), [](int64_t) { return false; });
}

// rope_freqs.weight holds what each frequency is divided by. llama.cpp's converter makes it from Llama 3.1's four numbers, of which all
// models use the same three; the fourth is the largest divisor.
static Json llama3_scaling(const tensor::GgufFile& file, const tensor::TensorInfo& info, double base, int64_t head_width) {
  const auto data = file.data(info);
  if (info.dtype != tensor::Dtype::f32 || info.elements() != head_width / 2) {
    throw InputError("rope_freqs.weight holds {} values of {}; expected {} of F32", info.elements(), tensor::name(info.dtype),
                     head_width / 2);
  }
  std::vector<float> divisors(info.elements());
  std::memcpy(divisors.data(), data.data(), divisors.size() * sizeof(float));
  const double factor = *std::max_element(divisors.begin(), divisors.end());
  const auto plain = nn::rope_angles({.base = base}, head_width);
  const auto scaled = nn::rope_angles({.base = base, .scaling = nn::RopeScaling::llama3, .factor = factor}, head_width);
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (!(std::abs(plain[i] / scaled[i] - divisors[i]) <= 1e-3 * factor)) {
      throw InputError("rope_freqs.weight is not Llama 3's scaling (value {} is {}); convert the model from its folder instead", i,
                       divisors[i]);
    }
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

static Json scaling_from_gguf(const tensor::GgufFile& file, const std::string& prefix, double base, int64_t head_width) {
  if (const auto* divisors = file.find("rope_freqs.weight")) return llama3_scaling(file, *divisors, base, head_width);
  const auto key = prefix + ".rope.scaling.type";
  const auto type = file.has(key) ? file.string(key) : "none";
  if (type == "none") return nullptr;
  return {{"rope_type", type}, {"factor", file.f64(prefix + ".rope.scaling.factor")}};
}

// The special ids that a GGUF names, as config.json has them.
static void ids_from_gguf(const tensor::GgufFile& file, Json& config) {
  for (const char* role : {"bos", "eos"}) {
    const auto key = fmt::format("tokenizer.ggml.{}_token_id", role);
    if (file.has(key)) config[fmt::format("{}_token_id", role)] = file.u64(key);
  }
}

Json llama_like_from_gguf(const tensor::GgufFile& file, const std::string& prefix) {
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", prefix, name); };
  const auto* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    throw InputError("{} has no matrix token_embd.weight; it is no language model", file.bytes().name);
  const int64_t width = file.i64(key("embedding_length")), heads = file.i64(key("attention.head_count"));
  if (heads < 1) throw InputError("{}: {} is {}; expected 1 or more", file.bytes().name, key("attention.head_count"), heads);
  int64_t head_width = width / heads;
  if (file.has(key("rope.dimension_count"))) head_width = file.i64(key("rope.dimension_count"));
  if (file.has(key("attention.key_length"))) head_width = file.i64(key("attention.key_length"));
  const double base = file.has(key("rope.freq_base")) ? file.f64(key("rope.freq_base")) : 10000.0;
  Json config{{"vocab_size", embedding->shape[0]},
              {"hidden_size", width},
              {"intermediate_size", file.i64(key("feed_forward_length"))},
              {"num_hidden_layers", file.i64(key("block_count"))},
              {"num_attention_heads", heads},
              {"num_key_value_heads", file.has(key("attention.head_count_kv")) ? file.i64(key("attention.head_count_kv")) : heads},
              {"head_dim", head_width},
              {"max_position_embeddings", file.i64(key("context_length"))},
              {"rms_norm_eps", file.f64(key("attention.layer_norm_rms_epsilon"))},
              {"rope_theta", base},
              {"rope_scaling", head_width >= 2 ? scaling_from_gguf(file, prefix, base, head_width) : Json()},
              {"tie_word_embeddings", file.find("output.weight") == nullptr}};
  ids_from_gguf(file, config);
  return config;
}

static Json llama_from_gguf(const tensor::GgufFile& file) {
  auto config = llama_like_from_gguf(file, "llama");
  // Mistral's models are llama to GGUF; those that slide say so (and keep saying it through Tessera).
  const bool slides = file.has("llama.attention.sliding_window");
  config["model_type"] = slides ? "mistral" : "llama";
  config["architectures"] = {slides ? "MistralForCausalLM" : "LlamaForCausalLM"};
  config["hidden_act"] = "silu";
  if (slides) config["sliding_window"] = file.i64("llama.attention.sliding_window");
  config["attention_bias"] = file.find("blk.0.attn_q.bias") != nullptr;
  config["mlp_bias"] = file.find("blk.0.ffn_up.bias") != nullptr;
  return config;
}

void llama_like_to_gguf(const ModelConfig& c, tensor::GgufWriter& out, const std::string& prefix) {
  const auto set = [&](std::string_view name, int64_t value) {
    out.set_u32(fmt::format("{}.{}", prefix, name), static_cast<uint32_t>(value));
  };
  const auto real = [&](std::string_view name, double value) {
    out.set_f32(fmt::format("{}.{}", prefix, name), static_cast<float>(value));
  };
  set("context_length", c.max_positions);
  set("embedding_length", c.width);
  set("block_count", c.depth());
  set("feed_forward_length", c.layers.front().ffn_width);
  set("attention.head_count", c.heads);
  set("attention.head_count_kv", c.kv_heads);
  set("attention.key_length", c.head_width);
  set("attention.value_length", c.head_width);
  set("rope.dimension_count", c.head_width);
  set("vocab_size", c.vocab);
  real("attention.layer_norm_rms_epsilon", c.norm_eps);
  real("rope.freq_base", c.rope.base);
  if (c.rope.scaling == nn::RopeScaling::linear) {
    out.set(prefix + ".rope.scaling.type", "linear");
    real("rope.scaling.factor", c.rope.factor);
  }
  if (c.window > 0) set("attention.sliding_window", c.window);
}

static void llama_to_gguf(const ModelConfig& config, tensor::GgufWriter& out) { llama_like_to_gguf(config, out, "llama"); }
static StoredAs llama_in_folder(const std::string& parameter) { return {.name = parameter}; }
static bool llama_ignored(const std::string& tensor) { return tensor.ends_with("rotary_emb.inv_freq"); }

Architecture arch_llama() {
  return {.name = "llama",
          .class_name = "LlamaForCausalLM",
          .gguf = "llama",
          .ffn_width = "intermediate_size",
          .prefix = "model.",
          .gguf_interleaved_qk = true,
          .gguf_fused_qkv = false,
          .read = read_llama_like,
          .from_gguf = llama_from_gguf,
          .to_gguf = llama_to_gguf,
          .in_folder = llama_in_folder,
          .ignored = llama_ignored};
}

}  // namespace tessera::lm
