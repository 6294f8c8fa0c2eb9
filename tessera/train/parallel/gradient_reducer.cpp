#include "tessera/train/parallel/gradient_reducer.h"

#include "tessera/base/error.h"

namespace tessera::train {

// Runs when the gradient of one leaf is complete for this backward pass.
class GradientReducer::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientReducer& reducer, size_t i) : reducer_(reducer), i_(i) {}
  void operator()(const torch::autograd::Variable& /*leaf*/) override { reducer_.add(i_); }

 private:
  GradientReducer& reducer_;
  size_t i_;
};

GradientReducer::GradientReducer(std::vector<torch::Tensor> leaves, std::shared_ptr<Collective> ranks, BucketOptions options)
    : leaves_(std::move(leaves)), ranks_(std::move(ranks)), owners_(std::move(options.owners)) {
  if (!owners_.empty() && owners_.size() != leaves_.size())
    throw InputError("{} owners for {} parameters; give one each", owners_.size(), leaves_.size());
  places_.resize(leaves_.size());
  used_.resize(leaves_.size(), false);
  make_buckets(options.bytes);
  for (size_t i = 0; i < leaves_.size(); ++i) torch::autograd::impl::set_post_acc_grad_hooks(leaves_[i], std::make_unique<Hook>(*this, i));
}

GradientReducer::~GradientReducer() {
  for (auto& leaf : leaves_) torch::autograd::impl::set_post_acc_grad_hooks(leaf, nullptr);
}

// The backward pass makes gradients roughly from the last leaf to the first.
void GradientReducer::make_buckets(int64_t bytes) {
  std::vector<size_t> filling;
  int64_t held = 0;
  for (size_t i = leaves_.size(); i-- > 0;) {
    filling.push_back(i);
    held += leaves_[i].numel() * static_cast<int64_t>(sizeof(float));
    if (held < bytes && i > 0) continue;
    make_bucket(std::exchange(filling, {}));
    held = 0;
  }
}

void GradientReducer::make_bucket(std::vector<size_t> leaves) {
  const auto owner = [&](size_t i) { return owners_.empty() ? 0 : owners_[i]; };
  std::stable_sort(leaves.begin(), leaves.end(), [&](size_t a, size_t b) { return owner(a) < owner(b); });
  std::vector<int64_t> sizes(owners_.empty() ? 1 : static_cast<size_t>(ranks_->size()), 0);
  int64_t elements = 0;
  for (const size_t i : leaves) {
    sizes[static_cast<size_t>(owner(i))] += leaves_[i].numel();
    elements += leaves_[i].numel();
  }
  Bucket bucket{.sum = ranks_->buffer(elements, torch::kFloat32), .parts = {}, .leaves = leaves.size(), .missing = leaves.size()};
  if (!owners_.empty()) bucket.parts = bucket.sum.split_with_sizes(sizes);
  int64_t begin = 0;
  for (const size_t i : leaves) {
    places_[i] = {.bucket = buckets_.size(), .view = bucket.sum.narrow(0, begin, leaves_[i].numel()).view(leaves_[i].sizes())};
    begin += leaves_[i].numel();
  }
  buckets_.push_back(std::move(bucket));
}

// A .grad that is still there would be added to in place, and it may be a bucket's own memory.
void GradientReducer::expect(bool last) {
  for (auto& leaf : leaves_) leaf.mutable_grad().reset();
  last_ = last;
}

void GradientReducer::add(size_t i) {
  torch::NoGradGuard no_grad;
  auto& gradient = leaves_[i].mutable_grad();
  if (!gradient.defined()) return;
  auto& place = places_[i];
  if (place.filled) {
    place.view.add_(gradient);
  } else {
    place.view.copy_(gradient);
  }
  place.filled = true;
  gradient.reset();
  if (!last_ || place.arrived) return;
  place.arrived = true;
  --buckets_[place.bucket].missing;
  send_complete();
}

void GradientReducer::send_complete() {
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
    auto& bucket = buckets_[next_];
    bucket.pending = bucket.parts.empty() ? ranks_->start_all_reduce(bucket.sum) : ranks_->start_reduce_scatter(bucket.parts);
  }
}

void GradientReducer::finish() {
  torch::NoGradGuard no_grad;
  for (auto& place : places_)
    if (!place.filled) place.view.zero_();
  for (auto& bucket : buckets_) bucket.missing = 0;
  send_complete();
  agree_on_use();
  for (auto& bucket : buckets_) bucket.pending->wait();
  for (size_t i = 0; i < leaves_.size(); ++i) {
    const bool mine = owners_.empty() || owners_[i] == ranks_->rank();
    leaves_[i].mutable_grad() = used_[i] && mine ? places_[i].view : torch::Tensor();
  }
  forget();
}

void GradientReducer::agree_on_use() {
  auto users = torch::zeros({static_cast<int64_t>(leaves_.size())}, torch::kInt64);
  for (size_t i = 0; i < leaves_.size(); ++i) users.data_ptr<int64_t>()[i] = places_[i].filled ? 1 : 0;
  ranks_->all_reduce(users);
  for (size_t i = 0; i < leaves_.size(); ++i) used_[i] = users.data_ptr<int64_t>()[i] > 0;
}

void GradientReducer::forget() {
  for (auto& place : places_) place.filled = place.arrived = false;
  for (auto& bucket : buckets_) {
    bucket.missing = bucket.leaves;
    bucket.pending = nullptr;
  }
  next_ = 0;
  last_ = false;
}

}  // namespace tessera::train
