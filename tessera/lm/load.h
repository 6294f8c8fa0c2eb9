#pragma once
// A language model from disk: a folder in Hugging Face layout or one .gguf file.

#include <memory>
#include <optional>

#include "tessera/lm/model.h"

namespace tessera::text {
class Tokenizer;
}

namespace tessera::lm {

enum class DtypeChoice { automatic, fp32, bf16 };  // automatic: bf16 where the device is known to multiply it faster, else fp32
// "auto", "fp32" or "bf16" (and float32, f32, bfloat16); InputError otherwise.
DtypeChoice parse_dtype(std::string_view name);
// What the processor says of itself (cpuid), as far as it decides between fp32 and bf16.
struct CpuFacts {
  bool amd = false, intel = false;
  bool avx512_bf16 = false, amx_bf16 = false;
};
CpuFacts cpu_facts();
// The dtype of `automatic` on such a CPU, and why. The same on every run: nothing is timed. AMX, and AVX512_BF16 on AMD, multiply bf16
// several times as fast as fp32; Intel's AVX512_BF16 without AMX was measured at half of fp32's rate; others are not known to gain.
struct DtypeRule {
  torch::Dtype dtype;
  std::string_view why;
};
DtypeRule cpu_dtype(const CpuFacts& cpu);
// "cpu", "cuda" or "cuda:N"; InputError when there is no such device, naming how to get one.
torch::Device parse_device(std::string_view name);

struct LoadOptions {
  DtypeChoice dtype = DtypeChoice::automatic;
  torch::Device device = torch::kCPU;
  std::vector<std::string> allow_missing = {};  // parameter names, '*' for any run of characters, that may stay at their initial values
  bool tokenizer = true;                        // false: do not read it
  bool head = true;                             // false: for hidden states alone, see load_weights
  std::optional<int64_t> window = {};           // sliding window in place of the config's; see set_window
};

struct LoadedModel {
  Transformer model{nullptr};
  std::shared_ptr<const text::Tokenizer> tokenizer;  // null when the model has none or it was not asked for
  std::string tokenizer_problem;                     // why it is null, one line
  std::string chat_template;                         // Jinja source; empty when there is none
  std::vector<int64_t> end_ids;  // tokens that end an answer: generation_config.json, config.json or the GGUF's metadata
  std::filesystem::path path;    // the folder or file that was read
  std::string dtype_note;        // what was taken and why, e.g. "bf16 (this CPU multiplies it)"
  double load_seconds = 0.0;

  const ModelConfig& config() const { return model->config(); }
};

// Reads config, weights and tokenizer of a model named as run::find_model takes it. Every tensor of the file must be used and every
// parameter filled, else InputError lists the differences. The model is in evaluation mode and needs no gradients until asked
// (model->train(), requires_grad_).
LoadedModel load_model(std::string_view name, const LoadOptions& options = {});

// Fills a model's parameters from a folder's or a GGUF's tensors, converting to the model's dtype. Matrices of the vocabulary that have no
// rows in the model stay in the file: embeddings are read from there as tokens ask for them, a head is not read.
void load_weights(Transformer& model, const std::filesystem::path& path, const std::vector<std::string>& allow_missing = {});

}  // namespace tessera::lm
