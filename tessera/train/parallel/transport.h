#pragma once
// What moves bytes between ranks, without LibTorch. libtessera_mpi.so implements it and is loaded only by a program that mpirun or srun
// started: MPI costs every other start nothing (linked in, it cost `--help` 2.5 ms of 220).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tessera::train {

enum class Element { byte, int64, float32, bfloat16 };

// One operation under way. Dropping it does not stop it.
class Transfer {
 public:
  virtual ~Transfer() = default;
  virtual bool done() const = 0;
  virtual void wait() = 0;  // std::runtime_error with the reason when the operation failed
};

// Operations return at once. Buffers stay alive and untouched until the transfer is done. Every rank starts the same collective operations
// in the same order; counts are elements, fewer than 2^31 an operation and rank.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // data: `count` elements, replaced by the sum over ranks. bfloat16 is added in float32 and rounded at every addition.
  virtual std::shared_ptr<Transfer> all_reduce(void* data, int64_t count, Element element) = 0;
  // data: `count` elements, replaced on `root` by the sum over ranks; elsewhere unchanged.
  virtual std::shared_ptr<Transfer> reduce(void* data, int64_t count, Element element, int root) = 0;
  // data: the ranks' parts one behind another, counts[r] elements of rank r, of which this rank has filled its own.
  virtual std::shared_ptr<Transfer> all_gather(void* data, std::vector<int64_t> counts, Element element) = 0;
  virtual std::shared_ptr<Transfer> broadcast(void* data, int64_t bytes, int root) = 0;
  virtual std::shared_ptr<Transfer> send(const void* data, int64_t bytes, int to) = 0;
  virtual std::shared_ptr<Transfer> receive(void* data, int64_t bytes, int from) = 0;
  virtual std::shared_ptr<Transfer> barrier() = 0;

  virtual void leave() = 0;               // called by every rank, last
  virtual void abort(int exit_code) = 0;  // ends all ranks, this one included
};

struct TransportOptions {
  // Called, on the transport's own thread, with one line when another rank no longer answers. It should end the process; when it returns,
  // all ranks are aborted.
  std::function<void(const std::string& line)> lost;
  double silence_s = 6.0;  // how long a rank may be silent before it counts as lost
};

// The plugin's only symbol. std::runtime_error when MPI cannot start.
using OpenTransport = std::unique_ptr<Transport> (*)(const TransportOptions& options);
inline constexpr const char* kOpenTransport = "tessera_open_transport";

}  // namespace tessera::train
