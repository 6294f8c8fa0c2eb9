#pragma once
// A Llama of two blocks, 40 ids and 32 numbers a token, with weights of seed 1.

#include "tessera/lm/model.h"

namespace tessera::train {

inline lm::Transformer small_untied_llama() {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 40},
                                          {"hidden_size", 32},
                                          {"intermediate_size", 48},
                                          {"num_hidden_layers", 2},
                                          {"num_attention_heads", 2},
                                          {"num_key_value_heads", 2},
                                          {"max_position_embeddings", 64},
                                          {"rms_norm_eps", 1e-6},
                                          {"tie_word_embeddings", false}}));
  lm::init_weights(model, 1);
  return model;
}

}  // namespace tessera::train
