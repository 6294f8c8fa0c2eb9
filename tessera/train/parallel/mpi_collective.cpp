#include "tessera/train/parallel/mpi_collective.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/train/parallel/exchanged.h"

namespace tessera::train {

namespace {

Element element_of(const torch::Tensor& tensor) {
  if (tensor.scalar_type() == torch::kInt64) return Element::int64;
  return tensor.scalar_type() == torch::kBFloat16 ? Element::bfloat16 : Element::float32;
}

int64_t bytes_of(const torch::Tensor& tensor) { return tensor.numel() * tensor.element_size(); }

// The transfers of one operation with the tensors they work on.
class Transfers : public Pending {
 public:
  explicit Transfers(std::vector<torch::Tensor> tensors) : tensors_(std::move(tensors)) {}
  void add(std::shared_ptr<Transfer> transfer) { transfers_.push_back(std::move(transfer)); }
  void then(std::function<void()> last) { last_ = std::move(last); }  // run by wait(), once
  bool done() const override {
    return std::all_of(transfers_.begin(), transfers_.end(), [](const auto& transfer) { return transfer->done(); });
  }
  void wait() override {
    try {
      for (const auto& transfer : transfers_) transfer->wait();
    } catch (const std::runtime_error& error) {
      throw ConnectionError("{}; resume from the last checkpoint", error.what());
    }
    if (last_) std::exchange(last_, nullptr)();
  }

 private:
  std::vector<torch::Tensor> tensors_;
  std::vector<std::shared_ptr<Transfer>> transfers_;
  std::function<void()> last_;
};

class MpiCollective : public Collective {
 public:
  explicit MpiCollective(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

  int64_t rank() const override { return transport_->rank(); }
  int64_t size() const override { return transport_->size(); }

  std::shared_ptr<Pending> start_all_reduce(torch::Tensor tensor) override {
    check_exchanged(tensor, torch::kCPU, "all-reduce");
    auto pending = std::make_shared<Transfers>(std::vector{tensor});
    pending->add(transport_->all_reduce(tensor.data_ptr(), tensor.numel(), element_of(tensor)));
    return pending;
  }

  std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> parts) override {
    check_parts(parts, size(), torch::kCPU, "reduce-scatter");
    auto pending = std::make_shared<Transfers>(parts);
    for (int root = 0; root < transport_->size(); ++root) {
      const auto& part = parts[static_cast<size_t>(root)];
      if (part.numel() > 0) pending->add(transport_->reduce(part.data_ptr(), part.numel(), element_of(part), root));
    }
    return pending;
  }

  // MPI gathers into one buffer: parts that lie one behind another are that buffer already.
  std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> parts) override {
    check_parts(parts, size(), torch::kCPU, "all-gather");
    std::vector<int64_t> counts;
    bool adjacent = true;
    for (size_t r = 0; r < parts.size(); ++r) {
      counts.push_back(parts[r].numel());
      adjacent = adjacent && parts[r].data_ptr() == static_cast<char*>(parts[0].data_ptr()) + sum_of_bytes(parts, r);
    }
    const Element element = element_of(parts[0]);
    if (adjacent) {
      auto pending = std::make_shared<Transfers>(parts);
      pending->add(transport_->all_gather(parts[0].data_ptr(), counts, element));
      return pending;
    }
    std::vector<torch::Tensor> flat;
    flat.reserve(parts.size());
    for (const auto& part : parts) flat.push_back(part.reshape({-1}));
    const auto buffer = torch::cat(flat);
    auto pending = std::make_shared<Transfers>(std::vector{buffer});
    pending->add(transport_->all_gather(buffer.data_ptr(), counts, element));
    pending->then([parts, buffer, counts] {
      const auto gathered = buffer.split_with_sizes(counts);
      for (size_t r = 0; r < parts.size(); ++r) torch::Tensor(parts[r]).copy_(gathered[r].view_as(parts[r]));
    });
    return pending;
  }

  void broadcast(torch::Tensor tensor, int64_t root) override {
    check_exchanged(tensor, torch::kCPU, "broadcast");
    one(tensor, transport_->broadcast(tensor.data_ptr(), bytes_of(tensor), partner(root, size(), "broadcast")));
  }
  void send(const torch::Tensor& tensor, int64_t to) override {
    check_exchanged(tensor, torch::kCPU, "send");
    one(tensor, transport_->send(tensor.data_ptr(), bytes_of(tensor), partner(to, size(), "send")));
  }
  void receive(torch::Tensor tensor, int64_t from) override {
    check_exchanged(tensor, torch::kCPU, "receive");
    one(tensor, transport_->receive(tensor.data_ptr(), bytes_of(tensor), partner(from, size(), "receive")));
  }
  void barrier() override { one({}, transport_->barrier()); }
  void leave() override {
    transport_->leave();
    left_ = true;
  }
  bool left() const { return left_; }
  void abort(int exit_code) override {
    transport_->abort(exit_code);
    std::abort();  // not reached: the transport ends the process
  }

 private:
  static void one(const torch::Tensor& tensor, std::shared_ptr<Transfer> transfer) {
    Transfers transfers({tensor});
    transfers.add(std::move(transfer));
    transfers.wait();
  }
  static int64_t sum_of_bytes(const std::vector<torch::Tensor>& parts, size_t end) {
    int64_t sum = 0;
    for (size_t i = 0; i < end; ++i) sum += bytes_of(parts[i]);
    return sum;
  }

  std::unique_ptr<Transport> transport_;
  bool left_ = false;
};

std::shared_ptr<MpiCollective>& joined_ranks() {
  static std::shared_ptr<MpiCollective> joined;
  return joined;
}

}  // namespace

std::shared_ptr<Collective> over(std::unique_ptr<Transport> transport) {
  joined_ranks() = std::make_shared<MpiCollective>(std::move(transport));
  return joined_ranks();
}

void end_ranks(int exit_code) {
  if (joined_ranks() != nullptr && !joined_ranks()->left()) joined_ranks()->abort(exit_code);
}

}  // namespace tessera::train
