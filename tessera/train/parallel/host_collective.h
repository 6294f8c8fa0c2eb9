#pragma once
// Ranks of one host: sums and exchanges at the speed of memory, by plain loads from each other's buffers.

#include "tessera/train/parallel/collective.h"

namespace tessera::train {

// `inner`, with buffers in shared memory: a reduce-scatter or all-gather of parts that lie in one of them is done by the calling threads
// themselves, during later starts as far as the others have come, the rest in wait(). Sums begin with a rank's own part and go through the
// others in their order. All other operations are inner's. Returns `inner` itself where HostMemory cannot be had. Every rank calls it; to
// be used from one thread at a time.
std::shared_ptr<Collective> on_one_host(std::shared_ptr<Collective> inner);

}  // namespace tessera::train
