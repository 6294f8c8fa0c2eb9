#include "tessera/base/error.h"
#include "tessera/train/parallel/collective.h"

namespace tessera::train {

namespace {

struct Done : Pending {
  bool done() const override { return true; }
  void wait() override {}
};

class Alone : public Collective {
 public:
  explicit Alone(torch::Device device) : device_(device) {}
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  torch::Device device() const override { return device_; }
  std::shared_ptr<Pending> start_all_reduce(torch::Tensor /*tensor*/) override { return std::make_shared<Done>(); }
  std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> /*parts*/) override { return std::make_shared<Done>(); }
  std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> /*parts*/) override { return std::make_shared<Done>(); }
  void broadcast(torch::Tensor /*tensor*/, int64_t /*root*/) override {}
  void send(const torch::Tensor& /*tensor*/, int64_t to) override { throw InputError("send to rank {}: this process is alone", to); }
  void receive(torch::Tensor /*tensor*/, int64_t from) override { throw InputError("receive from rank {}: this process is alone", from); }
  void barrier() override {}
  void leave() override {}
  void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  torch::Device device_;
};

}  // namespace

std::shared_ptr<Collective> alone(torch::Device device) { return std::make_shared<Alone>(device); }

}  // namespace tessera::train
