#pragma once
// A device that is not the CPU, for tests of what follows the parameters' device where there is no GPU: LibTorch's PrivateUse1, whose
// memory the program cannot touch (the kernel forbids it, as with a GPU's) and whose operations copy their tensors to the CPU and back. An
// operation on tensors of both devices fails as it does with CUDA.

#include "tessera/train/parallel/collective.h"

namespace tessera::train {

torch::Device other_device();

// `inner`, with the other device beside the CPU: what NCCL is to a GPU.
std::shared_ptr<Collective> over_other_device(std::shared_ptr<Collective> inner);

}  // namespace tessera::train
