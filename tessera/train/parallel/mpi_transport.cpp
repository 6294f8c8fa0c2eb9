// libtessera_mpi.so: Transport over OpenMPI. One thread makes every MPI call (MPI_THREAD_FUNNELED); it starts operations as they are asked
// for, many at a time, and sleeps between tests, so that waiting takes no core from the computation.

#include <mpi.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "tessera/train/parallel/transport.h"

namespace tessera::train {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kBeat = std::chrono::milliseconds(500);     // between two signs of life
constexpr int kBeatTag = 1, kMessageTag = 2;               // kBeatTag travels on a communicator of its own
constexpr int64_t kMostElements = (int64_t{1} << 31) - 1;  // MPI counts are int
constexpr auto kShortNap = std::chrono::microseconds(20);  // between tests while somebody waits for a transfer
constexpr auto kLongNap = std::chrono::microseconds(200);  // and while the computation goes on

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw std::runtime_error(std::string(what) + ": " + text.data());
}

// MPI 3 knows no bfloat16: two bytes and a sum of our own, in float32, rounded to nearest even.
float widened(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
uint16_t rounded(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);  // a NaN stays one
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
void add_bfloat16(void* in, void* in_out, int* count, MPI_Datatype* /*type*/) {
  const auto* from = static_cast<const uint16_t*>(in);
  auto* to = static_cast<uint16_t*>(in_out);
  for (int i = 0; i < *count; ++i) to[i] = rounded(widened(from[i]) + widened(to[i]));
}

// What a request shares with the thread that moves it.
struct Progress {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<int> waiting{0};  // how many threads wait for a transfer
};

class MpiTransfer : public Transfer {
 public:
  explicit MpiTransfer(std::shared_ptr<Progress> progress) : progress_(std::move(progress)) {}
  bool done() const override { return done_; }
  void wait() override {
    ++progress_->waiting;
    std::unique_lock lock(progress_->mutex);
    progress_->changed.notify_all();
    progress_->changed.wait(lock, [&] { return done_.load(); });
    --progress_->waiting;
    if (!failure_.empty()) throw std::runtime_error(failure_);
  }
  void finish(std::string failure) {
    const std::lock_guard lock(progress_->mutex);
    failure_ = std::move(failure);
    done_ = true;
    progress_->changed.notify_all();
  }

 private:
  std::shared_ptr<Progress> progress_;
  std::string failure_;
  std::atomic<bool> done_{false};
};

struct Operation {
  std::function<MPI_Request()> start;
  std::shared_ptr<MpiTransfer> transfer;
};

// A container may forbid the copy between processes that OpenMPI's shared memory likes best, and OpenMPI 4.1 then fails in the middle of
// a message instead of choosing another way.
void avoid_forbidden_copy() {
  char from = 1, to = 0;
  const iovec local{&to, 1}, remote{&from, 1};
  if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1) setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
}

class MpiTransport : public Transport {
 public:
  explicit MpiTransport(TransportOptions options) : options_(std::move(options)), thread_([this] { run(); }) {
    std::unique_lock lock(progress_->mutex);
    progress_->changed.wait(lock, [&] { return started_; });
    if (!start_failure_.empty()) {
      lock.unlock();
      thread_.join();
      throw std::runtime_error(start_failure_);
    }
  }
  ~MpiTransport() override {
    if (thread_.joinable()) abort(1);  // a rank that goes without leave() would let the others wait for ever
  }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::shared_ptr<Transfer> all_reduce(void* data, int64_t count, Element element) override {
    return enqueue(count, [=, this] {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Iallreduce(MPI_IN_PLACE, data, int_of(count), type_of(element), sum_of(element), world_, &request), "all-reduce");
      return request;
    });
  }
  std::shared_ptr<Transfer> reduce(void* data, int64_t count, Element element, int root) override {
    return enqueue(count, [=, this] {
      MPI_Request request = MPI_REQUEST_NULL;
      const void* from = rank_ == root ? MPI_IN_PLACE : data;
      void* to = rank_ == root ? data : nullptr;
      check(MPI_Ireduce(from, to, int_of(count), type_of(element), sum_of(element), root, world_, &request), "reduce");
      return request;
    });
  }
  std::shared_ptr<Transfer> all_gather(void* data, std::vector<int64_t> counts, Element element) override {
    auto sizes = std::make_shared<std::vector<int>>(), begins = std::make_shared<std::vector<int>>();
    int64_t begin = 0;
    for (const int64_t count : counts) {
      sizes->push_back(int_of(count));
      begins->push_back(int_of(begin));
      begin += count;
    }
    return enqueue(begin, [=, this] {  // MPI reads both arrays until the operation is done: the operation keeps them
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, sizes->data(), begins->data(), type_of(element), world_, &request),
            "all-gather");
      return request;
    });
  }
  std::shared_ptr<Transfer> broadcast(void* data, int64_t bytes, int root) override {
    return enqueue(bytes, [=, this] {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Ibcast(data, int_of(bytes), MPI_BYTE, root, world_, &request), "broadcast");
      return request;
    });
  }
  std::shared_ptr<Transfer> send(const void* data, int64_t bytes, int to) override {
    return enqueue(bytes, [=, this] {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Isend(data, int_of(bytes), MPI_BYTE, to, kMessageTag, world_, &request), "send");
      return request;
    });
  }
  std::shared_ptr<Transfer> receive(void* data, int64_t bytes, int from) override {
    return enqueue(bytes, [=, this] {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Irecv(data, int_of(bytes), MPI_BYTE, from, kMessageTag, world_, &request), "receive");
      return request;
    });
  }
  std::shared_ptr<Transfer> barrier() override {
    return enqueue(0, [this] {
      MPI_Request request = MPI_REQUEST_NULL;
      check(MPI_Ibarrier(world_, &request), "barrier");
      return request;
    });
  }

  void leave() override {
    barrier()->wait();  // asleep, where MPI_Finalize would spin until the slowest rank comes
    stop(Stop::leave);
    thread_.join();
  }
  void abort(int exit_code) override {
    exit_code_ = exit_code;
    stop(Stop::abort);
    if (thread_.joinable()) thread_.join();
    _exit(exit_code);
  }

 private:
  enum class Stop { no, leave, abort };

  static int int_of(int64_t count) {
    if (count > kMostElements) throw std::runtime_error("one message holds at most 2^31 - 1 elements");
    return static_cast<int>(count);
  }
  MPI_Datatype type_of(Element element) const {
    switch (element) {
      case Element::byte:
        return MPI_BYTE;
      case Element::int64:
        return MPI_INT64_T;
      case Element::float32:
        return MPI_FLOAT;
      case Element::bfloat16:
        return bfloat16_;
    }
    return MPI_DATATYPE_NULL;
  }
  MPI_Op sum_of(Element element) const { return element == Element::bfloat16 ? bfloat16_sum_ : MPI_SUM; }

  std::shared_ptr<Transfer> enqueue(int64_t count, std::function<MPI_Request()> start) {
    int_of(count);
    auto transfer = std::make_shared<MpiTransfer>(progress_);
    const std::lock_guard lock(progress_->mutex);
    queue_.push_back({std::move(start), transfer});
    progress_->changed.notify_all();
    return transfer;
  }

  void stop(Stop how) {
    const std::lock_guard lock(progress_->mutex);
    stop_ = how;
    progress_->changed.notify_all();
  }

  // ---- the thread
  void run() {
    try {
      begin();
    } catch (const std::exception& error) {
      start_failure_ = error.what();
    }
    {
      const std::lock_guard lock(progress_->mutex);
      started_ = true;
      progress_->changed.notify_all();
    }
    if (!start_failure_.empty()) return;
    while (stop_ == Stop::no) {
      start_queued();
      const bool moved = test_active();
      if (size_ > 1) beat();
      if (!moved) rest();
    }
    if (stop_ == Stop::abort) MPI_Abort(MPI_COMM_WORLD, exit_code_);
    end();
  }

  void begin() {
    avoid_forbidden_copy();
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    if (provided < MPI_THREAD_FUNNELED) throw std::runtime_error("this MPI supports no threads");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &beats_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(beats_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world_, &rank_);
    MPI_Comm_size(world_, &size_);
    MPI_Type_contiguous(2, MPI_BYTE, &bfloat16_);
    MPI_Type_commit(&bfloat16_);
    MPI_Op_create(add_bfloat16, 1, &bfloat16_sum_);
    last_seen_ = last_sent_ = last_turn_ = Clock::now();
  }

  void end() {
    for (MPI_Request* request : {&sent_, &heard_})
      if (*request != MPI_REQUEST_NULL) {
        MPI_Cancel(request);
        MPI_Request_free(request);
      }
    MPI_Op_free(&bfloat16_sum_);
    MPI_Type_free(&bfloat16_);
    MPI_Comm_free(&beats_);
    MPI_Comm_free(&world_);
    MPI_Finalize();
  }

  void start_queued() {
    std::deque<Operation> fresh;
    {
      const std::lock_guard lock(progress_->mutex);
      fresh.swap(queue_);
    }
    for (auto& operation : fresh) try {
        requests_.push_back(operation.start());
        active_.push_back(std::move(operation));
      } catch (const std::exception& error) {
        operation.transfer->finish(error.what());
      }
  }

  // Whether something was finished.
  bool test_active() {
    if (requests_.empty()) return false;
    std::vector<int> finished(requests_.size());
    std::vector<MPI_Status> states(requests_.size());
    int count = 0;
    const int code = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, finished.data(), states.data());
    if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) {
      fail_all("a transfer between ranks failed");
      return true;
    }
    if (count <= 0) return false;
    for (int i = 0; i < count; ++i) {
      const bool bad = code == MPI_ERR_IN_STATUS && states[static_cast<size_t>(i)].MPI_ERROR != MPI_SUCCESS;
      active_[static_cast<size_t>(finished[static_cast<size_t>(i)])].transfer->finish(bad ? "a transfer between ranks failed" : "");
    }
    size_t kept = 0;
    for (size_t i = 0; i < requests_.size(); ++i)
      if (!active_[i].transfer->done()) {
        requests_[kept] = requests_[i];
        if (kept != i) active_[kept] = std::move(active_[i]);
        ++kept;
      }
    requests_.resize(kept);
    active_.resize(kept);
    return true;
  }
  void fail_all(const std::string& why) {
    for (auto& operation : active_) operation.transfer->finish(why);
    active_.clear();
    requests_.clear();
  }

  // Each rank tells the next one that it lives, and listens to the one before: mpirun ends all ranks by itself when one dies, srun does so
  // only with --kill-on-bad-exit, and a host that is gone says nothing.
  void beat() {
    const auto now = Clock::now();
    if (now - last_turn_ > kBeat * 4) last_seen_ = now;  // this process itself was stopped for a while: the others may have been, too
    last_turn_ = now;
    int done = 1;
    if (heard_ != MPI_REQUEST_NULL) MPI_Test(&heard_, &done, MPI_STATUS_IGNORE);
    if (done != 0) {
      last_seen_ = now;
      MPI_Irecv(&heard_byte_, 1, MPI_BYTE, (rank_ + size_ - 1) % size_, kBeatTag, beats_, &heard_);
    }
    done = 1;
    if (sent_ != MPI_REQUEST_NULL) MPI_Test(&sent_, &done, MPI_STATUS_IGNORE);
    if (done != 0 && now - last_sent_ >= kBeat) {
      MPI_Isend(&sent_byte_, 1, MPI_BYTE, (rank_ + 1) % size_, kBeatTag, beats_, &sent_);
      last_sent_ = now;
    }
    if (now - last_seen_ > std::chrono::duration<double>(options_.silence_s)) {
      const std::string line = "rank " + std::to_string((rank_ + size_ - 1) % size_) + " of " + std::to_string(size_) +
                               " no longer answers, so all ranks stop; look at its host, then resume from the last checkpoint";
      if (options_.lost) options_.lost(line);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
  }

  void rest() {
    std::unique_lock lock(progress_->mutex);
    const auto awake = [&] { return !queue_.empty() || stop_ != Stop::no; };
    if (requests_.empty())
      progress_->changed.wait_for(lock, kBeat / 4, awake);
    else if (progress_->waiting > 0)
      progress_->changed.wait_for(lock, kShortNap, awake);
    else
      progress_->changed.wait_for(lock, kLongNap, [&] { return awake() || progress_->waiting > 0; });
  }

  TransportOptions options_;
  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
  bool started_ = false;
  std::string start_failure_;
  std::atomic<Stop> stop_{Stop::no};
  std::atomic<int> exit_code_{1};
  std::deque<Operation> queue_;  // asked for, not started

  MPI_Comm world_ = MPI_COMM_NULL, beats_ = MPI_COMM_NULL;
  MPI_Datatype bfloat16_ = MPI_DATATYPE_NULL;
  MPI_Op bfloat16_sum_ = MPI_OP_NULL;
  int rank_ = 0, size_ = 1;
  std::vector<MPI_Request> requests_;  // requests_[i] belongs to active_[i]
  std::vector<Operation> active_;
  MPI_Request sent_ = MPI_REQUEST_NULL, heard_ = MPI_REQUEST_NULL;
  char sent_byte_ = 0, heard_byte_ = 0;
  Clock::time_point last_seen_, last_sent_, last_turn_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

extern "C" __attribute__((visibility("default"))) std::unique_ptr<Transport> tessera_open_transport(const TransportOptions& options) {
  return std::make_unique<MpiTransport>(options);
}

}  // namespace tessera::train
