#pragma once
// Work ahead of the consumer: items are made by background threads and handed out in order.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace tessera::data {

struct PrefetchOptions {
  size_t ahead = 4;    // items that may wait, 1 and up: the memory bound
  size_t threads = 1;  // makers, 1 and up
};

// Calls make(0), make(1), ... on background threads, at most `ahead` before the consumer, and hands the results out in that order whatever
// the number of threads. make(i) returns std::nullopt when the items end before i; with more than one thread it is called for several i at
// once. What make throws is thrown by next() in its place of the order; after it next() returns nullopt. The destructor stops the makers
// and waits for the calls in progress only.
template <class Item>
class Prefetch {
 public:
  using Make = std::function<std::optional<Item>(uint64_t)>;

  explicit Prefetch(Make make, const PrefetchOptions& options = {}) : make_(std::move(make)), ahead_(options.ahead ? options.ahead : 1) {
    try {
      for (size_t i = 0; i < (options.threads ? options.threads : 1); ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Prefetch() { stop(); }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  // The next item, waiting for it; std::nullopt after the last, and after an exception was thrown.
  std::optional<Item> next() {
    std::unique_lock lock(mutex_);
    if (over_) return std::nullopt;
    made_.wait(lock, [this] { return ready_.contains(taken_); });
    auto node = ready_.extract(taken_++);
    wanted_.notify_all();
    Result& result = node.mapped();
    over_ = result.error || !result.item;
    if (result.error) std::rethrow_exception(result.error);
    return std::move(result.item);
  }

 private:
  struct Result {
    std::optional<Item> item;
    std::exception_ptr error;
  };

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wanted_.wait(lock, [this] { return stopped_ || ended_ || started_ < taken_ + ahead_; });
      if (stopped_ || ended_) return;
      const uint64_t i = started_++;
      lock.unlock();
      Result result;
      try {
        result.item = make_(i);
      } catch (...) {
        result.error = std::current_exception();
      }
      lock.lock();
      if (result.error || !result.item) {
        ended_ = true;
        wanted_.notify_all();
      }
      ready_.emplace(i, std::move(result));
      made_.notify_all();
    }
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    wanted_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  Make make_;
  const uint64_t ahead_;
  std::mutex mutex_;
  std::condition_variable wanted_, made_;
  std::map<uint64_t, Result> ready_;
  uint64_t started_ = 0, taken_ = 0;
  bool stopped_ = false, ended_ = false, over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tessera::data
