#pragma once
// Collective over a Transport: CPU tensors through libtessera_mpi.so.

#include "tessera/train/parallel/collective.h"
#include "tessera/train/parallel/transport.h"

namespace tessera::train {

// Kept for end_ranks until the program ends.
std::shared_ptr<Collective> over(std::unique_ptr<Transport> transport);

}  // namespace tessera::train
