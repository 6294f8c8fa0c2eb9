#pragma once
// Perplexity of a text under a language model, in disjoint windows.

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "tessera/lm/model.h"

namespace tessera::eval {

struct PerplexityOptions {
  int64_t window = 256;  // tokens a window, 2 and up; every window is a sequence of its own that starts at position 0
  int64_t windows = 0;   // how many, from the text's beginning; 0: all, a last shorter one of 2 tokens and more included
  int64_t batch = 0;     // windows a pass; 0: as many as make about 1,024 tokens. Changes memory and speed, not the result
  lm::Skip skip;         // branches to leave out
  // Called after every pass with the windows done, their number and the perplexity so far; false stops, and what was measured stays.
  std::function<bool(int64_t done, int64_t windows, double perplexity)> progress;
};

struct Perplexity {
  double perplexity = 0;               // exp(nats_per_token)
  double nats_per_token = 0;           // mean negative log-likelihood over all scored tokens
  int64_t tokens = 0;                  // scored: all but the first of each window
  double seconds = 0;                  // forward passes and scoring
  double tokens_per_second = 0;        // tokens / seconds
  int64_t window = 0, windows = 0;     // tokens a window; windows measured
  std::vector<double> window_nats;     // [windows], mean nats a scored token of each window: the items of a paired bootstrap
  std::vector<int64_t> window_tokens;  // [windows], scored tokens of each
};

// Scores `ids` as they are: no token is added, the first token of each window is context only. InputError when a window has fewer than 2
// tokens or the text gives no window, or an id lies outside the vocabulary.
Perplexity perplexity(lm::Transformer& model, std::span<const int32_t> ids, const PerplexityOptions& options = {});

// {perplexity, nats_per_token, tokens, seconds, tokens_per_second, window, windows}
nlohmann::ordered_json to_json(const Perplexity& result);

}  // namespace tessera::eval
