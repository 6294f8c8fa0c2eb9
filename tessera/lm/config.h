#pragma once
// What a language model is made of, read from a folder's config.json or a GGUF's metadata. Nothing outside the architectures' own files
// (arch_*.cpp) asks for an architecture's name: whatever differs is a field here.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/nn/layer_kinds.h"
#include "tessera/nn/rope_angles.h"

namespace tessera::lm {

using Json = nlohmann::ordered_json;  // keeps the order of a config.json that is written back

// Where a block's norms stand. pre: x + f(norm(x)). post: norm(x + f(x)) (no final norm). sandwich: x + norm(f(norm(x))) (Gemma).
enum class NormPlacement { pre, post, sandwich };

// What may differ from one block to the next.
struct LayerConfig {
  bool sliding = false;               // attention sees the last `window` tokens and turns by local_rope
  bool attention = true, ffn = true;  // the branch exists
  int64_t ffn_width = 0;              // F, rows of up_proj
  bool operator==(const LayerConfig&) const = default;
};

struct ModelConfig {
  std::string architecture;      // config.json's model_type: "llama", "mistral", "qwen2", "gemma3_text", "gpt2", "baichuan"
  int64_t vocab = 0, width = 0;  // V, D
  int64_t heads = 0, kv_heads = 0, head_width = 0;
  int64_t max_positions = 0;  // context length the model was made for, tokens
  int64_t window = 0;         // tokens a sliding layer sees, itself included; 0: no layer slides
  std::vector<LayerConfig> layers;

  nn::NormKind norm = nn::NormKind::rms;
  NormPlacement placement = NormPlacement::pre;
  double norm_eps = 1e-6, norm_offset = 0.0;  // offset 1: gains are stored as w - 1 (Gemma)
  bool qkv_bias = false, out_bias = false, ffn_bias = false;
  bool qk_norm = false;
  double attention_scale = 0.0;  // what q.k is multiplied by
  nn::Activation activation = nn::Activation::silu;
  bool gated = true;
  bool learned_positions = false;    // a table of max_positions vectors is added to the embedding (GPT-2); no rotation then
  bool alibi = false;                // scores fall with the distance by each head's slope (nn::alibi_slopes); no rotation then
  nn::RopeOptions rope, local_rope;  // for full and for sliding layers
  double embedding_scale = 1.0;
  bool tied_head = false;  // lm_head is the embedding
  bool unit_head = false;  // lm_head works with its rows at length one (Baichuan2's NormHead): loading makes them so
  double init_std = 0.02;  // standard deviation that fresh weights are drawn with

  Json raw;  // the config.json as read (made from metadata for a GGUF), for writing the model back

  bool rotates() const { return !learned_positions && !alibi; }
  int64_t depth() const { return static_cast<int64_t>(layers.size()); }
};

// Reads a config.json's text. Throws InputError naming the key for a missing or wrong one, listing the known names for an unknown
// model_type, and naming the feature for what is not supported (dynamic or yarn rope scaling, soft caps ...).
ModelConfig parse_config(const Json& config);
ModelConfig read_config(const std::filesystem::path& config_json);

// A config for a fresh model: fills what `parse_config` would derive, `raw` included, so that the model can be saved. Example:
// fresh_config({{"model_type", "llama"}, {"hidden_size", 192}, ...}).
inline ModelConfig fresh_config(const Json& config) { return parse_config(config); }

// The config of the same model with the blocks `removed` (indices into `config.layers`, any order) taken out. `raw` follows: the number of
// layers, every per-layer list, a periodic pattern made an explicit `layer_types`, and `tessera.removed_layers` (indices of the original
// model). Throws InputError on an index out of range or repeated, and when no block would be left.
ModelConfig without_layers(const ModelConfig& config, const std::vector<int64_t>& removed);

// Makes every layer see the last `window` tokens, itself included, or all tokens for a window below 1. In memory: `raw` is not changed, so
// a model saved later has its old window. Throws InputError where only some layers slide (Gemma).
void set_window(ModelConfig& config, int64_t window);

// Puts fields that Hugging Face's layout has no key for (post-norm placement, absent branches, uneven ffn widths) into raw["tessera"],
// where parse_config finds them again. Call it after editing a config's fields by hand.
void record_extensions(ModelConfig& config);

// Parameters of the model and of one of its blocks (tied weights once).
int64_t parameter_count(const ModelConfig& config);
int64_t block_parameter_count(const ModelConfig& config, int64_t layer);
// Bytes of keys and values one token adds, with `element` bytes a number.
int64_t kv_bytes_per_token(const ModelConfig& config, int64_t element);

}  // namespace tessera::lm
