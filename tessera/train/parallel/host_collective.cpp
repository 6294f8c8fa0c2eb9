#include "tessera/train/parallel/host_collective.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>

#include "tessera/base/error.h"
#include "tessera/train/parallel/host_memory.h"

namespace tessera::train {

namespace {

// How far a rank has come in the operations on shared buffers, which all ranks number alike from 1: in its own segment, read by the others.
struct alignas(64) Mark {
  std::atomic<int64_t> number{0};
};
struct Marks {
  Mark arrived;   // its parts hold what it gives
  Mark finished;  // it has read what it takes
};
static_assert(std::atomic<int64_t>::is_always_lock_free);

enum class Exchange { sum, gather };

// The others are rarely far behind; who waits longer leaves the core to them.
void await(const Mark& mark, int64_t number) {
  for (int turn = 0; mark.number.load(std::memory_order_acquire) < number; ++turn) {
    if (turn < 64) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
}

// What an operation works on. Dropped before it was waited for: given up.
struct Work {
  Exchange exchange;
  std::vector<torch::Tensor> parts;  // one a rank
  std::shared_ptr<HostMemory> memory;
};

class HostCollective : public Collective, public std::enable_shared_from_this<HostCollective> {
 public:
  HostCollective(std::shared_ptr<Collective> inner, std::shared_ptr<HostMemory> marks)
      : inner_(std::move(inner)), marks_(std::move(marks)) {}

  int64_t rank() const override { return inner_->rank(); }
  int64_t size() const override { return inner_->size(); }

  torch::Tensor buffer(int64_t elements, torch::Dtype dtype) override {
    auto memory = HostMemory::open(*inner_, std::max<int64_t>(1, elements * static_cast<int64_t>(c10::elementSize(dtype))));
    if (!memory) return inner_->buffer(elements, dtype);
    std::erase_if(buffers_, [](const auto& buffer) { return buffer.expired(); });
    buffers_.push_back(memory);
    return torch::from_blob(
        memory->of(rank()), {elements}, [memory](void*) {}, dtype);
  }

  std::shared_ptr<Pending> start_all_reduce(torch::Tensor tensor) override { return inner_->start_all_reduce(std::move(tensor)); }
  std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> parts) override {
    if (auto memory = memory_of(parts)) return start({Exchange::sum, std::move(parts), std::move(memory)});
    return inner_->start_reduce_scatter(std::move(parts));
  }
  std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> parts) override {
    if (auto memory = memory_of(parts)) return start({Exchange::gather, std::move(parts), std::move(memory)});
    return inner_->start_all_gather(std::move(parts));
  }
  void broadcast(torch::Tensor tensor, int64_t root) override { inner_->broadcast(std::move(tensor), root); }
  void send(const torch::Tensor& tensor, int64_t to) override { inner_->send(tensor, to); }
  void receive(torch::Tensor tensor, int64_t from) override { inner_->receive(std::move(tensor), from); }
  void barrier() override { inner_->barrier(); }
  void leave() override { inner_->leave(); }
  void abort(int exit_code) override { inner_->abort(exit_code); }

  bool done(int64_t number) {
    advance();
    for (int64_t r = 0; r < size(); ++r)
      if (marks(r).finished.number.load(std::memory_order_acquire) < number) return false;
    return true;
  }

  // Until all ranks have read what they take of operation `number`, so that its parts may be written again.
  void finish(int64_t number) {
    while (completed_ < number) {
      for (int64_t r = 0; r < size(); ++r) await(marks(r).arrived, completed_ + 1);
      complete();
    }
    for (int64_t r = 0; r < size(); ++r) await(marks(r).finished, number);
  }

 private:
  class Started : public Pending {
   public:
    Started(std::shared_ptr<HostCollective> ranks, std::shared_ptr<Work> work, int64_t number)
        : ranks_(std::move(ranks)), work_(std::move(work)), number_(number) {}
    bool done() const override { return ranks_->done(number_); }
    void wait() override { ranks_->finish(number_); }

   private:
    std::shared_ptr<HostCollective> ranks_;
    std::shared_ptr<Work> work_;
    int64_t number_;
  };

  Marks& marks(int64_t rank) const { return *reinterpret_cast<Marks*>(marks_->of(rank)); }

  // The buffer that holds all parts; null when there is none. Parts have one layout on all ranks, so all find the same.
  std::shared_ptr<HostMemory> memory_of(const std::vector<torch::Tensor>& parts) const {
    if (static_cast<int64_t>(parts.size()) != size()) return nullptr;
    for (const auto& buffer : buffers_) {
      auto memory = buffer.lock();
      const auto inside = [&](const torch::Tensor& part) {
        const auto* begin = static_cast<const std::byte*>(part.const_data_ptr());
        return part.is_cpu() && part.is_contiguous() && begin >= memory->of(rank()) &&
               begin + part.nbytes() <= memory->of(rank()) + memory->bytes();
      };
      if (memory && std::all_of(parts.begin(), parts.end(), [&](const auto& part) { return part.numel() == 0 || inside(part); }))
        return memory;
    }
    return nullptr;
  }

  std::shared_ptr<Pending> start(Work given) {
    auto work = std::make_shared<Work>(std::move(given));
    waiting_.push_back(work);
    marks(rank()).arrived.number.store(++started_, std::memory_order_release);
    advance();
    return std::make_shared<Started>(shared_from_this(), std::move(work), started_);
  }

  // Completes what all ranks have arrived at.
  void advance() {
    const auto arrived = [&](int64_t r) { return marks(r).arrived.number.load(std::memory_order_acquire) > completed_; };
    for (;;) {
      for (int64_t r = 0; r < size(); ++r)
        if (!arrived(r)) return;
      complete();
    }
  }

  void complete() {
    if (const auto work = waiting_.front().lock()) move(*work);
    waiting_.pop_front();
    marks(rank()).finished.number.store(++completed_, std::memory_order_release);
  }

  void move(const Work& work) const {
    torch::NoGradGuard no_grad;
    for (int64_t r = 0; r < size(); ++r) {
      if (r == rank()) continue;
      const auto& part = work.parts[static_cast<size_t>(work.exchange == Exchange::sum ? rank() : r)];
      const auto offset = static_cast<const std::byte*>(part.const_data_ptr()) - work.memory->of(rank());
      const auto theirs = torch::from_blob(work.memory->of(r) + offset, part.sizes(), part.scalar_type());
      if (work.exchange == Exchange::sum) {
        torch::Tensor(part).add_(theirs);
      } else {
        torch::Tensor(part).copy_(theirs);
      }
    }
  }

  std::shared_ptr<Collective> inner_;
  std::shared_ptr<HostMemory> marks_;
  std::vector<std::weak_ptr<HostMemory>> buffers_;
  std::deque<std::weak_ptr<Work>> waiting_;  // started and not completed; the first has number completed_ + 1
  int64_t started_ = 0, completed_ = 0;
};

}  // namespace

std::shared_ptr<Collective> on_one_host(std::shared_ptr<Collective> inner) {
  auto marks = HostMemory::open(*inner, sizeof(Marks));  // zero bytes are marks at 0
  if (!marks) return inner;
  return std::make_shared<HostCollective>(std::move(inner), std::move(marks));
}

}  // namespace tessera::train
