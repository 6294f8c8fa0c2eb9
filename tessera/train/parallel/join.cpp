// How a process finds out that it is one of several, and joins them.

#include <dlfcn.h>
#include <sched.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "tessera/base/error.h"
#include "tessera/train/parallel/gpu_choice.h"
#include "tessera/train/parallel/host_collective.h"
#include "tessera/train/parallel/mpi_collective.h"
#ifdef TESSERA_HAS_NCCL
#include "tessera/train/parallel/nccl_collective.h"
#endif

namespace tessera::train {

namespace {

// A non-negative number from the environment; -1 without one.
int64_t number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return -1;
  const std::string_view digits = text;
  int64_t value = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() && end == digits.data() + digits.size() && value >= 0 ? value : -1;
}

// libtessera_mpi.so lies beside libtessera.so, or in ../lib of a program that holds the rooms itself.
OpenTransport find_plugin(const StartedAs& started) {
  Dl_info self{};
  dladdr(reinterpret_cast<const void*>(&find_plugin), &self);
  std::error_code error;
  const auto folder = std::filesystem::canonical(self.dli_fname, error).parent_path();
  std::string problem = "libtessera_mpi.so is not beside the program";
  for (const auto& path : {folder / "libtessera_mpi.so", folder / ".." / "lib" / "libtessera_mpi.so"}) {
    if (!std::filesystem::exists(path, error)) continue;
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL))
      if (void* symbol = dlsym(library, kOpenTransport)) return reinterpret_cast<OpenTransport>(symbol);
    if (const char* text = dlerror()) problem = text;
  }
  throw InputError(
      "{} started this process as rank {} of {}, but this build cannot join: {}; install libopenmpi-dev and openmpi-bin and build again",
      started.by, started.rank, started.size, problem);
}

// What moves tensors between the ranks that `control` has joined.
std::shared_ptr<Collective> over_device(std::shared_ptr<Collective> control, [[maybe_unused]] torch::DeviceType device,
                                        [[maybe_unused]] std::function<void(const std::string& line)> lost) {
#ifdef TESSERA_HAS_NCCL
  if (device == torch::kCUDA) return over_nccl(std::move(control), std::move(lost));
#endif
  return on_one_host(std::move(control));
}

void refuse_without_nccl([[maybe_unused]] const StartedAs& started) {
#ifndef TESSERA_HAS_NCCL
  throw InputError(
      "--device cuda on {} ranks: this program was built without NCCL, which moves tensors between GPUs; start one process, give --device "
      "cpu, or build with a CUDA LibTorch, CUDA's headers and NCCL",
      started.size);
#endif
}

}  // namespace

StartedAs started_as() {
  if (const int64_t size = number("OMPI_COMM_WORLD_SIZE"); size > 1) return {number("OMPI_COMM_WORLD_RANK"), size, "mpirun"};
  const int64_t tasks = number("SLURM_STEP_NUM_TASKS");  // set by srun for its tasks, not by sbatch for its script
  if (tasks <= 1) return {};
  if (number("PMIX_RANK") < 0 && number("PMI_RANK") < 0)
    throw InputError("srun started {} tasks that cannot find each other; start them with srun --mpi=pmix", tasks);
  return {number("SLURM_PROCID"), tasks, "srun"};
}

std::shared_ptr<Collective> join(std::function<void(const std::string& line)> lost, torch::DeviceType device) {
  const StartedAs started = started_as();
  if (started.size == 1) return alone(device == torch::kCUDA ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU));
  if (device == torch::kCUDA) refuse_without_nccl(started);
  const OpenTransport open = find_plugin(started);
  std::unique_ptr<Transport> transport;
  try {
    TransportOptions options;
    options.lost = lost;
    transport = open(options);
  } catch (const std::runtime_error& error) {
    throw InputError("rank {} of {} could not join: {}; run mpirun --version and ompi_info to see whether OpenMPI works", started.rank,
                     started.size, error.what());
  }
  const int64_t found = transport->size();
  if (found != started.size)
    throw InputError("{} started {} ranks, MPI found {}; use the mpirun of the OpenMPI that this program was built with", started.by,
                     started.size, found);
  return over_device(over(std::move(transport)), device, std::move(lost));
}

int64_t threads_of_rank(Collective& ranks) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  constexpr int64_t kWords = sizeof allowed / sizeof(int64_t);
  std::vector<torch::Tensor> all;  // of each rank: its host and its cores
  for (int64_t r = 0; r < ranks.size(); ++r) all.push_back(torch::zeros({1 + kWords}, torch::kInt64));
  auto* mine = all[static_cast<size_t>(ranks.rank())].data_ptr<int64_t>();
  mine[0] = host_number();
  std::memcpy(mine + 1, &allowed, sizeof allowed);
  ranks.all_gather(all);
  std::vector<int> users(CPU_SETSIZE, 0);
  for (const auto& one : all) {
    if (one.data_ptr<int64_t>()[0] != mine[0]) continue;
    cpu_set_t cores;
    std::memcpy(&cores, one.data_ptr<int64_t>() + 1, sizeof cores);
    for (int core = 0; core < CPU_SETSIZE; ++core) users[static_cast<size_t>(core)] += CPU_ISSET(core, &cores) ? 1 : 0;
  }
  double share = 0.0;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &allowed)) share += 1.0 / users[static_cast<size_t>(core)];
  return std::max<int64_t>(1, static_cast<int64_t>(share + 1e-6));
}

}  // namespace tessera::train
