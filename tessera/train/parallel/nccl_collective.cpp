#include "tessera/train/parallel/nccl_collective.h"

#include <c10/core/Event.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "tessera/base/error.h"
#include "tessera/train/parallel/exchanged.h"
#include "tessera/train/parallel/gpu_choice.h"

namespace tessera::train {

namespace {

constexpr auto kLook = std::chrono::milliseconds(500);  // between two looks for failures in the background
constexpr int64_t kMostGpus = 64;                       // of a host

ncclDataType_t type_of(const torch::Tensor& tensor) {
  if (tensor.scalar_type() == torch::kInt64) return ncclInt64;
  return tensor.scalar_type() == torch::kBFloat16 ? ncclBfloat16 : ncclFloat32;
}

size_t count_of(const torch::Tensor& tensor) { return static_cast<size_t>(tensor.numel()); }

VisibleGpus visible_gpus() {
  VisibleGpus seen{.host = host_number(), .gpus = {}};
  for (int i = 0; i < std::min<int>(c10::cuda::device_count(), kMostGpus); ++i) {
    cudaDeviceProp about{};
    if (cudaGetDeviceProperties(&about, i) != cudaSuccess) break;
    seen.gpus.push_back(static_cast<int64_t>(std::hash<std::string_view>()({about.uuid.bytes, sizeof about.uuid.bytes})));
  }
  return seen;
}

// Every rank tells the others what it sees: its host, how many GPUs, which.
torch::Device choose_gpu(Collective& control) {
  const auto mine = visible_gpus();
  std::vector<torch::Tensor> all;
  for (int64_t r = 0; r < control.size(); ++r) all.push_back(torch::zeros({2 + kMostGpus}, torch::kInt64));
  auto* told = all[static_cast<size_t>(control.rank())].data_ptr<int64_t>();
  told[0] = mine.host;
  told[1] = static_cast<int64_t>(mine.gpus.size());
  std::copy(mine.gpus.begin(), mine.gpus.end(), told + 2);
  control.all_gather(all);
  std::vector<VisibleGpus> ranks;
  for (const auto& one : all) {
    const auto* at = one.const_data_ptr<int64_t>();
    ranks.push_back({.host = at[0], .gpus = {at + 2, at + 2 + at[1]}});
  }
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(choose_gpus(ranks)[static_cast<size_t>(control.rank())])};
}

// Operations run on a stream of their own that waits for the caller's stream; waiting for one makes the caller's stream wait, not the host.
class NcclCollective : public Collective, public std::enable_shared_from_this<NcclCollective> {
 public:
  NcclCollective(std::shared_ptr<Collective> control, torch::Device device, std::function<void(const std::string& line)> lost)
      : control_(std::move(control)),
        device_(device),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device.index())),
        lost_(std::move(lost)) {
    connect();
    watch_ = std::thread([this] { watch(); });
  }
  // A rank that has not left ends, and its communicator with it.
  ~NcclCollective() override { stop_watching(); }
  NcclCollective(const NcclCollective&) = delete;
  NcclCollective& operator=(const NcclCollective&) = delete;

  int64_t rank() const override { return control_->rank(); }
  int64_t size() const override { return control_->size(); }
  torch::Device device() const override { return device_; }

  std::shared_ptr<Pending> start_all_reduce(torch::Tensor tensor) override {
    if (tensor.is_cpu()) return control_->start_all_reduce(std::move(tensor));
    check_exchanged(tensor, device_, "all-reduce");
    return start({tensor}, [&](const torch::Tensor& t, int) {
      return ncclAllReduce(t.data_ptr(), t.data_ptr(), count_of(t), type_of(t), ncclSum, ranks_, stream_);
    });
  }
  std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> parts) override {
    if (!parts.empty() && parts[0].is_cpu()) return control_->start_reduce_scatter(std::move(parts));
    check_parts(parts, size(), device_, "reduce-scatter");
    return start(std::move(parts), [&](const torch::Tensor& t, int root) {
      return ncclReduce(t.data_ptr(), t.data_ptr(), count_of(t), type_of(t), ncclSum, root, ranks_, stream_);
    });
  }
  std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> parts) override {
    if (!parts.empty() && parts[0].is_cpu()) return control_->start_all_gather(std::move(parts));
    check_parts(parts, size(), device_, "all-gather");
    return start(std::move(parts), [&](const torch::Tensor& t, int root) {
      return ncclBroadcast(t.data_ptr(), t.data_ptr(), count_of(t), type_of(t), root, ranks_, stream_);
    });
  }
  void broadcast(torch::Tensor tensor, int64_t root) override {
    if (tensor.is_cpu()) return control_->broadcast(std::move(tensor), root);
    one(tensor, partner(root, size(), "broadcast"), "broadcast", [&](const torch::Tensor& t, int from) {
      return ncclBroadcast(t.data_ptr(), t.data_ptr(), count_of(t), type_of(t), from, ranks_, stream_);
    });
  }
  void send(const torch::Tensor& tensor, int64_t to) override {
    if (tensor.is_cpu()) return control_->send(tensor, to);
    one(tensor, partner(to, size(), "send"), "send",
        [&](const torch::Tensor& t, int other) { return ncclSend(t.data_ptr(), count_of(t), type_of(t), other, ranks_, stream_); });
  }
  void receive(torch::Tensor tensor, int64_t from) override {
    if (tensor.is_cpu()) return control_->receive(std::move(tensor), from);
    one(tensor, partner(from, size(), "receive"), "receive",
        [&](const torch::Tensor& t, int other) { return ncclRecv(t.data_ptr(), count_of(t), type_of(t), other, ranks_, stream_); });
  }
  void barrier() override { control_->barrier(); }

  void leave() override {
    stop_watching();
    const c10::cuda::CUDAGuard here(device_);
    stream_.synchronize();
    check(ncclCommFinalize(ranks_));
    check(ncclCommDestroy(ranks_));
    control_->leave();
  }
  void abort(int exit_code) override { control_->abort(exit_code); }

 private:
  using Call = std::function<ncclResult_t(const torch::Tensor& tensor, int rank)>;

  class Started : public Pending {
   public:
    Started(std::shared_ptr<NcclCollective> ranks, c10::Event finished) : ranks_(std::move(ranks)), finished_(std::move(finished)) {}
    // Given up: what comes next on the caller's stream may write the tensors again.
    ~Started() override {
      if (!waited_) try {
          follow();
        } catch (const std::exception&) {  // the GPU has failed, and the next operation says so
        }
    }
    bool done() const override { return finished_.query(); }
    void wait() override {
      ranks_->look();
      follow();
      waited_ = true;
    }

   private:
    void follow() { finished_.block(c10::cuda::getCurrentCUDAStream(ranks_->device_.index())); }

    std::shared_ptr<NcclCollective> ranks_;
    c10::Event finished_;
    bool waited_ = false;
  };

  void connect() {
    ncclUniqueId id{};
    auto words = torch::zeros({sizeof id / sizeof(int64_t)}, torch::kInt64);
    ncclResult_t result = ncclSuccess;
    if (rank() == 0) {
      result = ncclGetUniqueId(&id);
      std::memcpy(words.data_ptr(), &id, sizeof id);
    }
    control_->broadcast(words, 0);
    std::memcpy(&id, words.const_data_ptr(), sizeof id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 1;
    if (result == ncclSuccess) result = ncclCommInitRankConfig(&ranks_, static_cast<int>(size()), id, static_cast<int>(rank()), &config);
    if (result != ncclSuccess)
      throw InputError("rank {} of {} could not join on {}: NCCL: {}; run with NCCL_DEBUG=INFO to see why", rank(), size(), device_.str(),
                       ncclGetErrorString(result));
  }

  // One call for each tensor that is not empty, with its place, as one operation.
  std::shared_ptr<Pending> start(std::vector<torch::Tensor> tensors, const Call& call) {
    look();
    const c10::cuda::CUDAGuard here(device_);
    c10::Event ready(torch::kCUDA), finished(torch::kCUDA);
    ready.record(c10::cuda::getCurrentCUDAStream(device_.index()));
    ready.block(stream_);
    check(ncclGroupStart());
    ncclResult_t result = ncclSuccess;
    for (size_t i = 0; i < tensors.size() && result == ncclSuccess; ++i)
      if (tensors[i].numel() > 0) result = call(tensors[i], static_cast<int>(i));
    const ncclResult_t ended = ncclGroupEnd();
    check(result != ncclSuccess ? result : ended);
    for (const auto& tensor : tensors) tensor.record_stream(stream_);  // their memory is not given to others before the operation is done
    finished.record(stream_);
    return std::make_shared<Started>(shared_from_this(), std::move(finished));
  }

  void one(const torch::Tensor& tensor, int other, const char* operation, const Call& call) {
    check_exchanged(tensor, device_, operation);
    start({tensor}, [&](const torch::Tensor& t, int) { return call(t, other); })->wait();
  }

  // ---- failures
  static std::string line_of(ncclResult_t result) {
    return fmt::format("a transfer between ranks failed: NCCL: {}; resume from the last checkpoint", ncclGetErrorString(result));
  }
  void check(ncclResult_t result) {
    if (result == ncclSuccess) return;
    stop_watching();  // this error is the one to be read
    throw ConnectionError("{}", line_of(result));
  }
  ncclResult_t failed() const {
    ncclResult_t later = ncclSuccess;
    const ncclResult_t now = ncclCommGetAsyncError(ranks_, &later);
    return now != ncclSuccess ? now : later;
  }
  void look() { check(failed()); }

  // A failed transfer never ends, so a host that waits for its stream cannot see the failure.
  void watch() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kLook, [&] { return left_; })) {
      const ncclResult_t result = failed();
      if (result == ncclSuccess) continue;
      if (lost_) lost_(line_of(result));
      control_->abort(1);
    }
  }
  void stop_watching() {
    {
      const std::lock_guard lock(mutex_);
      left_ = true;
    }
    changed_.notify_all();
    if (watch_.joinable()) watch_.join();
  }

  std::shared_ptr<Collective> control_;
  torch::Device device_;
  c10::cuda::CUDAStream stream_;
  std::function<void(const std::string& line)> lost_;
  ncclComm_t ranks_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool left_ = false;
  std::thread watch_;
};

}  // namespace

std::shared_ptr<Collective> over_nccl(std::shared_ptr<Collective> control, std::function<void(const std::string& line)> lost) {
  const auto device = choose_gpu(*control);
  c10::cuda::set_device(device.index());
  return std::make_shared<NcclCollective>(std::move(control), device, std::move(lost));
}

}  // namespace tessera::train
