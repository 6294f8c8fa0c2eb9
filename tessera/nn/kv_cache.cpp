#include "tessera/nn/kv_cache.h"

#include "tessera/base/error.h"

namespace tessera::nn {

int64_t KvSlot::visible_after(int64_t tokens) const {
  const int64_t all = seen_ + tokens;
  return window_ > 0 ? std::min(all, window_ - 1 + tokens) : all;
}

// Room for `tokens` more in buffers of k's kind: a window's old entries are dropped first, then the buffers grow by half.
void KvSlot::reserve(const torch::Tensor& k, int64_t tokens) {
  const int64_t needed = window_ > 0 ? std::min(stored_, window_ - 1) : stored_;  // old entries that later tokens can see
  const int64_t capacity = keys_.defined() ? keys_.size(2) : 0;
  if (stored_ + tokens <= capacity) return;
  const int64_t wanted = needed + tokens;
  // A sliding slot moves its entries to the front once every `window` tokens, so a move costs one copy of an entry a token.
  const int64_t grown = window_ > 0 ? wanted + window_ : std::max(wanted + wanted / 2, int64_t{256});
  auto keys = keys_, values = values_;
  if (wanted > capacity || needed > stored_ - needed) {
    const c10::InferenceMode normal_tensors(false);  // so that a cache filled in inference mode can be used outside it
    keys = torch::empty({k.size(0), k.size(2), std::max(grown, capacity), k.size(3)}, k.options().requires_grad(false));
    values = torch::empty_like(keys);
  }
  if (needed > 0) {
    keys.narrow(2, 0, needed).copy_(keys_.narrow(2, stored_ - needed, needed));
    values.narrow(2, 0, needed).copy_(values_.narrow(2, stored_ - needed, needed));
  }
  keys_ = std::move(keys);
  values_ = std::move(values);
  stored_ = needed;
}

std::pair<torch::Tensor, torch::Tensor> KvSlot::append(const torch::Tensor& k, const torch::Tensor& v) {
  torch::NoGradGuard no_grad;
  if (keys_.defined() && (k.size(0) != keys_.size(0) || k.size(2) != keys_.size(1) || k.size(3) != keys_.size(3))) {
    throw InputError("the cache holds keys of {} sequences, {} heads, width {}; given {}, {}, {}; a cache serves one model and one batch",
                     keys_.size(0), keys_.size(1), keys_.size(3), k.size(0), k.size(2), k.size(3));
  }
  const int64_t tokens = k.size(1);
  reserve(k, tokens);
  keys_.narrow(2, stored_, tokens).copy_(k.transpose(1, 2));
  values_.narrow(2, stored_, tokens).copy_(v.transpose(1, 2));
  const int64_t visible = visible_after(tokens);
  stored_ += tokens;
  seen_ += tokens;
  return {keys_.narrow(2, stored_ - visible, visible), values_.narrow(2, stored_ - visible, visible)};
}

int64_t KvSlot::bytes() const { return keys_.defined() ? static_cast<int64_t>(keys_.nbytes() + values_.nbytes()) : 0; }

bool KvSlot::rewind(int64_t length) {
  if (length > seen_) return seen_ == 0;  // a slot that its model skips stays empty
  const int64_t kept = stored_ - (seen_ - length);
  const int64_t needed = window_ > 0 ? std::min(length, window_ - 1) : length;
  if (kept < needed) return false;
  stored_ = kept;
  seen_ = length;
  return true;
}

void KvSlot::select(const torch::Tensor& rows) {
  if (!keys_.defined()) return;
  keys_ = keys_.index_select(0, rows);
  values_ = values_.index_select(0, rows);
}

int64_t KvCache::bytes() const {
  int64_t sum = 0;
  for (const auto& slot : slots) sum += slot.bytes();
  return sum;
}

bool KvCache::rewind(int64_t new_length) {
  if (new_length < 0 || new_length > length) return false;
  auto rewound = slots;
  for (auto& slot : rewound) {
    if (!slot.rewind(new_length)) return false;
  }
  slots = std::move(rewound);
  length = new_length;
  if (mask.defined()) mask = mask.narrow(1, 0, new_length);
  return true;
}

void KvCache::select(const torch::Tensor& rows) {
  for (auto& slot : slots) slot.select(rows);
  if (mask.defined()) mask = mask.index_select(0, rows);
}

}  // namespace tessera::nn
