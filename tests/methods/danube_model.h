#pragma once
// A tiny Mistral with a window, a vocabulary of its own with an end token, and a folder of both.

#include "tessera/base/files.h"
#include "tessera/lm/save.h"
#include "tessera/text/tokenizer.h"
#include "tessera/text/tokenizer_json.h"
#include "tessera/text/train_bpe.h"
#include "tests/methods/shortgpt_model.h"

namespace tessera::danube {

using shortgpt::TestFolder;

inline std::string small_text(int64_t sentences) {
  const std::vector<std::string> nouns{"sea", "ship", "captain", "harbour", "storm"}, verbs{"left", "saw", "feared", "reached"};
  std::string text;
  for (int64_t i = 0; i < sentences; ++i)
    text += "The " + nouns[static_cast<size_t>(i * 7 % 5)] + " " + verbs[static_cast<size_t>(i * 3 % 4)] + " the " +
            nouns[static_cast<size_t>((i * i + 2) % 5)] + " in the night.\n";
  return text;
}

inline std::string small_tokenizer_json(int64_t size = 300) {
  const text::VocabOptions options{.size = size, .special_tokens = {"<|endoftext|>"}};
  return text::to_tokenizer_json(text::train_bpe(text::texts_of({small_text(60)}), text::BpeKind::byte_level, options));
}

inline lm::Transformer small_mistral(int64_t vocab, uint64_t seed = 1, int64_t window = 16) {
  lm::Transformer model(lm::fresh_config({{"model_type", "mistral"},
                                          {"vocab_size", vocab},
                                          {"hidden_size", 32},
                                          {"intermediate_size", 48},
                                          {"num_hidden_layers", 2},
                                          {"num_attention_heads", 4},
                                          {"num_key_value_heads", 2},
                                          {"max_position_embeddings", 256},
                                          {"sliding_window", window},
                                          {"rms_norm_eps", 1e-5},
                                          {"initializer_range", 0.1},
                                          {"tie_word_embeddings", false}}));
  lm::init_weights(model, seed);
  model->fuse();
  return model;
}

// The folder with model and tokenizer; the end token is <|endoftext|>.
inline void save_small(const std::filesystem::path& folder, int64_t size = 300) {
  const auto json = small_tokenizer_json(size);
  const auto vocab = text::Tokenizer::from_json(json).size();
  lm::save_model(small_mistral(vocab), folder, {});
  write_file(folder / "tokenizer.json", json);
  write_file(folder / "tokenizer_config.json", R"({"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"})");
}

}  // namespace tessera::danube
