#pragma once
// Keys and values of the tokens a model has seen, one slot a layer. B sequences, H key heads, e head width.

#include <torch/torch.h>

#include <vector>

namespace tessera::nn {

// One layer's keys and values. A slot with a window keeps only what later tokens can still see.
class KvSlot {
 public:
  // window: tokens that attention sees (0: all).
  explicit KvSlot(int64_t window = 0) : window_(window) {}

  // Appends k, v: [B, T, H, e] and returns {keys, values}, [B, H, S, e] views of everything the T new tokens may attend to: all tokens, or
  // the last min(seen + T, window - 1 + T) with a window.
  std::pair<torch::Tensor, torch::Tensor> append(const torch::Tensor& k, const torch::Tensor& v);

  // How many keys `append` of `tokens` more will return.
  int64_t visible_after(int64_t tokens) const;
  int64_t seen() const { return seen_; }  // tokens appended so far
  int64_t bytes() const;                  // memory held
  // Forgets all tokens after the first `length`. False, and nothing changed, when a window has already dropped tokens needed for that.
  bool rewind(int64_t length);
  // Keeps the sequences of `rows` [R] int64 (an index into B), in that order.
  void select(const torch::Tensor& rows);

 private:
  void reserve(const torch::Tensor& k, int64_t tokens);

  int64_t window_;
  int64_t seen_ = 0;             // tokens appended so far
  int64_t stored_ = 0;           // of those, the last `stored_` are in the buffers
  torch::Tensor keys_, values_;  // [B, H, capacity, e]
};

// The slots of a model. All slots that a pass fills hold the same number of tokens.
struct KvCache {
  std::vector<KvSlot> slots;
  int64_t length = 0;  // tokens passed through the model so far, padding included
  torch::Tensor mask;  // [B, length] bool, false for padding; undefined when no token is padding

  int64_t bytes() const;
  // Forgets all tokens after the first `length`; false (and nothing changed) when a sliding window has dropped what that needs.
  bool rewind(int64_t new_length);
  void select(const torch::Tensor& rows);
};

}  // namespace tessera::nn
