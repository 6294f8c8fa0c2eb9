#pragma once
// Collective over NCCL: tensors on the rank's GPU. Compiled where LibTorch is a CUDA build and CUDA's runtime and NCCL are found.

#include "tessera/train/parallel/collective.h"

namespace tessera::train {

// Takes a GPU for this rank, makes it CUDA's current device and connects it to those of the other ranks. `control` finds the others,
// watches over them, ends them and exchanges what is on the CPU. Every rank calls it. InputError when there are fewer GPUs than ranks, and
// when NCCL cannot connect. `lost`: as for join; also called when NCCL fails while this rank waits for its GPU.
std::shared_ptr<Collective> over_nccl(std::shared_ptr<Collective> control, std::function<void(const std::string& line)> lost);

}  // namespace tessera::train
