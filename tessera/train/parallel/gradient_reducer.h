#pragma once
// Sums of gradients over ranks while the backward pass still runs, as PyTorch's DDP (Li et al., arXiv 2006.15704, section 3.2): gradients
// go into buckets in the order in which the backward pass makes them, and a full bucket sets off at once.

#include "tessera/train/parallel/collective.h"

namespace tessera::train {

struct BucketOptions {
  int64_t bytes = int64_t{4} << 20;  // a bucket is closed when it holds this much
  // Sharded optimizer states: owners[i] is the rank that updates leaf i, and alone gets its sum. Empty: every rank gets every sum.
  std::vector<int64_t> owners = {};
};

// Gradients accumulate in float32 in the buckets, over micro-batches, too; a leaf's own .grad is freed as soon as it was added.
// Every rank makes one over the same leaves in the same order, and calls expect and finish equally often; ranks may have different numbers
// of micro-batches, none included.
class GradientReducer {
 public:
  // Leaves: dense, float32 or bfloat16, requiring a gradient. Takes their post-accumulate hooks until it is destroyed.
  GradientReducer(std::vector<torch::Tensor> leaves, std::shared_ptr<Collective> ranks, BucketOptions options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // Before every backward pass; drops what .grad holds. `last`: no other follows before finish(), so a bucket sets off when its last
  // gradient has come.
  void expect(bool last);
  // After the last backward pass: sends what is left, waits, and gives every leaf its sum as .grad (float32). Undefined: leaves that no
  // rank has used, and those that another rank owns. ConnectionError when a transfer fails.
  void finish();
  // Gives up a step that failed before finish() on every rank alike.
  void forget();

  // After finish(): whether any rank's loss has used leaf i.
  bool used(size_t i) const { return used_[i]; }
  size_t buckets() const { return buckets_.size(); }
  size_t started() const { return next_; }  // buckets that have set off in this step

 private:
  class Hook;
  struct Bucket {
    torch::Tensor sum;                 // [elements] float32, grouped by owner
    std::vector<torch::Tensor> parts;  // of each owner; empty without owners
    size_t leaves = 0, missing = 0;    // missing: leaves whose gradient has not come
    std::shared_ptr<Pending> pending = nullptr;
  };
  struct Place {
    size_t bucket;
    torch::Tensor view;    // where the leaf's gradient lies in its bucket, in the leaf's shape
    bool filled = false;   // this rank has put something there in this step
    bool arrived = false;  // in the last backward pass
  };
  void make_buckets(int64_t bytes);
  void make_bucket(std::vector<size_t> leaves);
  void add(size_t i);
  void send_complete();
  void agree_on_use();

  std::vector<torch::Tensor> leaves_;
  std::shared_ptr<Collective> ranks_;
  std::vector<int64_t> owners_;
  std::vector<Bucket> buckets_;
  std::vector<Place> places_;
  std::vector<bool> used_;
  size_t next_ = 0;  // buckets set off in order, the same on every rank
  bool last_ = false;
};

}  // namespace tessera::train
