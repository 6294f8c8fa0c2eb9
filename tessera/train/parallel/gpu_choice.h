#pragma once
// Which GPU each rank of a job takes.

#include <cstdint>
#include <vector>

namespace tessera::train {

// The same in all processes of this host, and of no other.
int64_t host_number();

// Of one rank: a number that no other host has, and the GPUs that it may use in CUDA's order, each by a number that no other GPU has.
struct VisibleGpus {
  int64_t host = 0;
  std::vector<int64_t> gpus;
};

// For every rank the place of its GPU in its own list: the first that no rank before it takes, so ranks that see all GPUs of their host
// take them in order, and ranks that were given one each take that. InputError, the same for all ranks, when one finds none.
std::vector<int64_t> choose_gpus(const std::vector<VisibleGpus>& ranks);

}  // namespace tessera::train
