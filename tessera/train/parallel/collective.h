#pragma once
// What the ranks of one job do together: K processes, rank 0 to K - 1, each with its own copy of the model. Sums are the same on every
// rank, and the same at every repetition with as many ranks.

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tessera/base/error.h"

namespace tessera::train {

// Ranks can no longer reach each other, and each may notice it at another moment.
class ConnectionError : public WorkError {
 public:
  using WorkError::WorkError;
};

// An operation under way: the tensors that it works on must not be touched before wait() has returned.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual bool done() const = 0;
  virtual void wait() = 0;  // ConnectionError when the operation failed
};

// Tensors are contiguous, float32, bfloat16 or int64, of the same shape on all ranks, on the CPU (MPI) or the rank's GPU (NCCL); bfloat16
// sums are rounded at every addition. Ranks call the same operations in the same order. ConnectionError when a transfer fails; InputError
// for tensors that it does not take and ranks that do not exist. On a GPU operations follow the caller's current stream, and what it starts
// after they return, or after wait(), sees their results.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  // Where this rank's model is: the CPU or its GPU. Tensors on the CPU are taken in any case.
  virtual torch::Device device() const { return torch::kCPU; }

  // Zeros [elements] on device() for parts of the two operations below, where they move fastest. Every rank calls it with the same
  // arguments and keeps parts at the same places.
  virtual torch::Tensor buffer(int64_t elements, torch::Dtype dtype) {
    return torch::zeros({elements}, torch::TensorOptions(dtype).device(device()));
  }
  // tensor becomes its sum over ranks. start_... returns at once and works beside the caller's computation.
  virtual std::shared_ptr<Pending> start_all_reduce(torch::Tensor tensor) = 0;
  // parts[r] becomes its sum over ranks on rank r; on the others its values are lost. One part a rank, of any size, empty ones included.
  virtual std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> parts) = 0;
  // parts[r] becomes rank r's. One part a rank, of any size.
  virtual std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> parts) = 0;
  virtual void broadcast(torch::Tensor tensor, int64_t root) = 0;
  virtual void send(const torch::Tensor& tensor, int64_t to) = 0;
  virtual void receive(torch::Tensor tensor, int64_t from) = 0;
  virtual void barrier() = 0;

  // Called by every rank as its last operation; a rank that ends without it ends the job.
  virtual void leave() = 0;
  // Ends all ranks at once, this one included, with this exit code.
  [[noreturn]] virtual void abort(int exit_code) = 0;

  void all_reduce(torch::Tensor tensor) { start_all_reduce(std::move(tensor))->wait(); }
  void reduce_scatter(std::vector<torch::Tensor> parts) { start_reduce_scatter(std::move(parts))->wait(); }
  void all_gather(std::vector<torch::Tensor> parts) { start_all_gather(std::move(parts))->wait(); }
};

// One process alone: every operation is the identity. send and receive have no partner: InputError.
std::shared_ptr<Collective> alone(torch::Device device = torch::kCPU);

// How this process was started, from the environment alone: nothing is loaded or connected.
struct StartedAs {
  int64_t rank = 0, size = 1;
  std::string by;  // "mpirun", "srun"; empty when alone
};
// InputError for a job of several tasks that no MPI can join (srun without --mpi=pmix).
StartedAs started_as();

// The ranks that mpirun or srun started together with this process; `alone` when it started by itself. Called once. InputError when this
// build has no MPI or MPI cannot start. `lost` is called on another thread with one line when a rank no longer answers for some seconds;
// it should print and end the process. `device`: CPU, or CUDA, where each rank takes a GPU of its own and makes it the current one;
// InputError when this build has no NCCL and when there are fewer GPUs than ranks.
std::shared_ptr<Collective> join(std::function<void(const std::string& line)> lost, torch::DeviceType device = torch::kCPU);

// What a program calls when it ends with an error after printing it: ends all ranks with this exit code when this process has joined some
// and has not left them; else it does nothing.
void end_ranks(int exit_code);

// Threads of this rank when nobody gave a number: the cores that it may use, each divided among the ranks on this host that may use it,
// too. At least 1. Every rank calls it.
int64_t threads_of_rank(Collective& ranks);

}  // namespace tessera::train
