#pragma once
// Text from a language model: prompts in, tokens out, one call for one prompt or a batch of them.

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tessera/lm/model.h"

namespace tessera::text {
class Tokenizer;
}

namespace tessera::lm {

// How the next token is drawn. The order and the definitions are those of Transformers' generate: logit bias, repetition penalty,
// temperature, top-k, top-p, min-p, then a draw from the softmax of what is left.
struct Sampling {
  double temperature = 1.0;         // >= 0; 0 takes the most likely token
  int64_t top_k = 0;                // keep the k highest logits (and ties with the k-th); 0: all
  double top_p = 1.0;               // (0, 1]: keep the likeliest tokens whose probabilities first reach top_p
  double min_p = 0.0;               // [0, 1]: keep tokens at least min_p times as likely as the likeliest
  double repetition_penalty = 1.0;  // > 0: logits of tokens already present are divided by it when positive, else multiplied
  std::unordered_map<int64_t, double> logit_bias = {};  // added to the logits of these ids
  uint64_t seed = 0;                                    // sequence b of a batch draws from the stream named "sample/b"
};

// One draw: logits [V] float32 (not changed), `present` the ids of prompt and answer so far, `uniform` in [0, 1). Returns an id.
// Throws InputError for an option out of its range.
int64_t sample_token(const torch::Tensor& logits, const Sampling& sampling, const std::vector<int64_t>& present, double uniform);
// The probabilities that sample_token draws from, [V] float32, 0 for what was cut; one-hot at temperature 0.
torch::Tensor sampling_distribution(const torch::Tensor& logits, const Sampling& sampling, const std::vector<int64_t>& present);

enum class FinishReason { stop, length, interrupted };  // an end token or stop string; max_tokens; the callback said no
std::string_view finish_name(FinishReason reason);      // "stop", "length", "interrupted"

struct GenerateOptions {
  int64_t max_tokens = 128;  // new tokens a prompt gets at most, >= 0
  Sampling sampling = {};
  std::vector<int64_t> end_ids = {};   // generation stops at one of these; the id is counted but gives no text
  std::vector<std::string> stop = {};  // ... or when the text holds one of these, which is cut off; needs a tokenizer
  Skip skip = {};                      // left out everywhere, or, with skip.store_kv, only in calls of more than one token
  int64_t prefill_chunk = 512;         // prompt tokens a pass, >= 1: bounds memory, never changes the result
  nn::KvCache* cache = nullptr;  // one prompt only: tokens already in it are not passed again (the prompt must begin with them), and it
                                 // holds all but the last token afterwards
};

// What the callback hears: one per new token of each sequence.
struct TokenEvent {
  int64_t sequence = 0;  // index of the prompt
  int64_t id = 0;
  std::string text;   // whole UTF-8 characters that this token completed, possibly none; what may begin a stop string is held back
  bool last = false;  // the sequence ends here (text that was held back is flushed with it)
};
using OnToken = std::function<bool(const TokenEvent&)>;  // false stops that sequence

struct Generation {
  std::vector<int64_t> ids;  // new tokens, the end token included
  std::string text;          // their text without end tokens and stop string; empty without tokenizer
  int64_t prompt_tokens = 0;
  FinishReason finish = FinishReason::length;
};

struct GenerationTimings {
  double prompt_s = 0.0, decode_s = 0.0;          // seconds until the first token was drawn; from there to the last
  int64_t prompt_tokens = 0, decoded_tokens = 0;  // of all sequences; the first token of each counts for the prompt
  double prompt_tokens_per_second() const { return prompt_s > 0 ? static_cast<double>(prompt_tokens) / prompt_s : 0.0; }
  double decode_tokens_per_second() const { return decode_s > 0 ? static_cast<double>(decoded_tokens) / decode_s : 0.0; }
};

struct GenerationResult {
  std::vector<Generation> sequences;  // one a prompt
  GenerationTimings timings;
};

// Continues every prompt (ids, at least one each). Prompts of different lengths run as one batch, padded on the left; each gets the tokens
// it would get alone. tokenizer may be null when there are no stop strings and no text is wanted.
// Throws InputError when prompt + max_tokens exceeds the model's context length (both numbers are in the line), for an empty prompt, an id
// outside the vocabulary, or options out of range.
GenerationResult generate(Transformer& model, const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options,
                          const text::Tokenizer* tokenizer = nullptr, const OnToken& on_token = {});

}  // namespace tessera::lm
