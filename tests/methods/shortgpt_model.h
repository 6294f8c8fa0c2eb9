#pragma once
// Tiny models that the ShortGPT tests share.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tessera/base/files.h"
#include "tessera/lm/load.h"
#include "tessera/lm/save.h"
#include "tessera/tensor/weights.h"

namespace tessera::shortgpt {

// A folder that goes away with its owner.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "shortgpt-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline lm::Transformer tiny_model(int64_t layers = 6, uint64_t seed = 1) {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 40},
                                          {"hidden_size", 16},
                                          {"intermediate_size", 24},
                                          {"num_hidden_layers", layers},
                                          {"num_attention_heads", 2},
                                          {"num_key_value_heads", 1},
                                          {"max_position_embeddings", 64},
                                          {"rms_norm_eps", 1e-5},
                                          {"tie_word_embeddings", true},
                                          {"initializer_range", 0.3}}));
  lm::init_weights(model, seed);
  model->eval();
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  model->fuse();
  return model;
}

// A tokenizer whose tokens are single characters, ids 0 to 39.
inline std::string tiny_tokenizer() {
  nlohmann::json vocabulary;
  int next = 0;
  for (char c : std::string("abcdefghijklmnopqrstuvwxyz.,0123456789!")) vocabulary[std::string(1, c)] = next++;
  vocabulary["\xC4\xA0"] = next;  // a space, as byte-level BPE writes it
  return nlohmann::json{
      {"version", "1.0"},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"post_processor", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}}
      .dump();
}

// A model folder with that tokenizer.
inline std::filesystem::path save_tiny(const lm::Transformer& model, const std::filesystem::path& folder) {
  lm::save_model(model, folder, {});
  write_file(folder / "tokenizer.json", tiny_tokenizer());
  return folder;
}

inline std::string golden_path(const std::string& name) {
  return std::string(TESSERA_SOURCE_DIR) + "/tests/parity/golden/" + name + ".safetensors";
}

// The largest difference in units of b's scale.
inline double relative(const torch::Tensor& a, const torch::Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

// Prose of the tiny tokenizer's characters.
inline std::string tiny_text(int64_t words) {
  std::string text;
  for (int64_t i = 0; i < words; ++i)
    text += std::string(1, static_cast<char>('a' + i * 7 % 26)) + static_cast<char>('a' + i * 11 % 26) + " ";
  return text;
}

}  // namespace tessera::shortgpt
