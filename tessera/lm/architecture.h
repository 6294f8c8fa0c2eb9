#pragma once
// One entry per known architecture; each has its own arch_*.cpp, the only place that knows its names. Used by config, loading and saving.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/lm/config.h"

namespace tessera::tensor {
class GgufFile;
class GgufWriter;
}  // namespace tessera::tensor

namespace tessera::lm {

// Typed reading of a config.json; every error names the key.
class ConfigReader {
 public:
  explicit ConfigReader(const Json& json) : json_(json) {}
  bool has(const std::string& key) const;  // present and not null
  int64_t integer(const std::string& key, std::optional<int64_t> fallback = std::nullopt, int64_t least = 1) const;
  double number(const std::string& key, std::optional<double> fallback = std::nullopt) const;
  bool flag(const std::string& key, bool fallback) const;
  std::string string(const std::string& key, const std::string& fallback) const;
  const Json* find(const std::string& key) const;  // null when absent or null
  // InputError unless the key is absent, null or equal to `only`: a feature that is not supported.
  void only(const std::string& key, const Json& only) const;

 private:
  const Json& json_;
};

// "silu", "gelu", "gelu_new" ... InputError lists the known ones.
nn::Activation activation_named(const std::string& name);
// The rotary settings of config.json: rope_parameters (Transformers 5), or rope_theta and rope_scaling. `kind`: the entry of
// rope_parameters when there is one per layer type.
nn::RopeOptions read_rope(const ConfigReader& reader, double default_base, const std::string& kind = "");
// One LayerConfig a layer: `layer_types` when given, else sliding as `slides(i)` says.
std::vector<LayerConfig> read_layers(const ConfigReader& reader, int64_t depth, int64_t ffn_width,
                                     const std::function<bool(int64_t)>& slides);
// What Llama and its relatives have in common.
void read_llama_like(const ConfigReader& reader, ModelConfig& config);
// The same from a GGUF's metadata, as a config.json; `prefix` is general.architecture.
Json llama_like_from_gguf(const tensor::GgufFile& file, const std::string& prefix);
// Writes what llama_like_from_gguf reads.
void llama_like_to_gguf(const ModelConfig& config, tensor::GgufWriter& out, const std::string& prefix);

// How a file holds one of our parameters.
struct StoredAs {
  std::string name;               // the tensor in the file
  bool transposed = false;        // [in, out] in the file
  int64_t part = 0, parts = 1;    // the part-th of `parts` equal blocks of rows (after transposition)
  double add = 0.0;               // the file's values minus ours
  int64_t interleaved_heads = 0;  // rows of each of so many heads alternate between the halves that rotation pairs (GGUF's Llama)

  // The file holds the parameter as it is, under another name at most.
  bool as_it_is() const { return !transposed && parts == 1 && add == 0.0 && interleaved_heads == 0; }
};

struct Architecture {
  std::string_view name;        // config.json's model_type
  std::string_view class_name;  // config.json's architectures[0]
  std::string_view gguf;        // general.architecture
  std::string_view ffn_width;   // config.json's key for the inner width of all layers
  std::string_view prefix;      // of most tensors in a folder, absent in some files: "model.", "transformer."
  bool gguf_interleaved_qk;     // see StoredAs
  bool gguf_fused_qkv;          // one attn_qkv instead of three
  void (*read)(const ConfigReader& reader, ModelConfig& config);
  Json (*from_gguf)(const tensor::GgufFile& file);                         // null when another entry reads this general.architecture
  void (*to_gguf)(const ModelConfig& config, tensor::GgufWriter& writer);  // all but general.* and tokenizer.*
  StoredAs (*in_folder)(const std::string& parameter);
  bool (*ignored)(const std::string& tensor);  // buffers of old files that hold nothing learned
  int64_t gguf_alibi_depth = 0;                // so many blocks mean ALiBi in a GGUF, every other number none; 0: none has it
};

std::span<const Architecture> architectures();
const Architecture& architecture_named(std::string_view model_type);  // InputError lists the known ones
Json config_from_gguf(const tensor::GgufFile& file);
StoredAs stored_in_gguf(const ModelConfig& config, const std::string& parameter);

// The entries, one a file.
Architecture arch_llama();
Architecture arch_mistral();
Architecture arch_qwen2();
Architecture arch_gemma3();
Architecture arch_gpt2();
Architecture arch_baichuan();

}  // namespace tessera::lm
