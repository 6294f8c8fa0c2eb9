#pragma once
// Block Influence, ShortGPT (arXiv 2403.03853) section 2.3, and its neighbours, streamed: BI_i = 1 - E_t[cos(X_{i,t}, X_{i+1,t})].
// X_0 are the embeddings, X_{i+1} = layer_i(X_i), all before the final norm. No hidden state is kept: 8*d bytes are read a token and layer.
// B windows in a batch, T tokens a window, d width.

#include <torch/torch.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

namespace tessera::shortgpt {

struct Estimate {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double error =
      std::numeric_limits<double>::quiet_NaN();  // standard error over windows (tokens of a window are correlated); NaN below two
};

// What one layer does to the residual stream, averaged over tokens.
struct LayerInfluence {
  Estimate bi;                // 1 - cos(X_i, X_{i+1}), 0 to 2
  Estimate bi_without_first;  // the same without the first real token of each window, whose huge activations hide the rest
  Estimate magnitude;         // |X_{i+1} - X_i| / |X_{i+1}|: the relative magnitude ("rm") baseline
  Estimate norm;              // |X_{i+1}|
  Estimate angle;             // arccos(cos(X_i, X_{i+span})) / pi, 0 to 1; NaN where i + span > L
  int64_t tokens = 0;         // tokens counted in `bi`
  int64_t skipped = 0;        // tokens without a direction: a zero or non-finite state
};

// Sums over one window, one layer: what estimates, intervals and rank stability are made of.
struct WindowSums {
  double bi = 0, bi_without_first = 0, magnitude = 0, norm = 0, angle = 0;
  int64_t tokens = 0, tokens_without_first = 0, angle_tokens = 0, skipped = 0;
};

// Feed it the stream in order: start(X_0), next(X_1), ... next(X_L), then start again with the next batch.
class InfluenceMeter {
 public:
  // `layers` L >= 1. `span` >= 1: how many layers apart the angular distance looks; it keeps that many states of the current batch alive.
  explicit InfluenceMeter(int64_t layers, int64_t span = 1);

  // x: [B, T, d], any floating dtype and device. mask: [B, T] bool, true for a real token; undefined: all are real.
  // Throws InputError on another shape, or when the batch before was not finished.
  void start(const torch::Tensor& x, const torch::Tensor& mask = {});

  // y: [B, T, d], the output of the next layer. Throws InputError when the shape changes or all layers have been fed.
  void next(const torch::Tensor& y);

  std::vector<LayerInfluence> result() const;                                    // [L]
  std::vector<LayerInfluence> result(int64_t begin, int64_t end) const;          // of the windows [begin, end), in the order they were fed
  const std::vector<std::vector<WindowSums>>& windows() const { return sums_; }  // [windows][L]

 private:
  void add_angles(const torch::Tensor& y);

  int64_t layers_, span_, layer_;
  int64_t first_window_ = 0;        // index in sums_ of the current batch's first window
  std::vector<uint8_t> real_;       // [B*T]
  std::vector<int64_t> first_;      // [B] the first real token
  std::vector<double> square_;      // [B*T] |x|^2 of the current input
  std::deque<torch::Tensor> held_;  // the last `span` states, oldest first
  std::vector<std::vector<WindowSums>> sums_;
};

// <y,y>, <x,y> and <y-x,y-x> of every row in float32 whatever the dtype: [rows, 3] on the CPU. x, y: [rows, d], equal shapes.
torch::Tensor row_products(const torch::Tensor& x, const torch::Tensor& y);

}  // namespace tessera::shortgpt
