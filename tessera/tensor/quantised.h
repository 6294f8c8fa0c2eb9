#pragma once
// Quantised weights as tensors.

#include <torch/types.h>

#include <cstddef>

#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

// The float32 tensor of info.shape that info.bytes bytes at `from` encode; decoded by all threads. Large ones lie on huge pages where the
// system grants them: touching fresh 4 KiB pages costs more than decoding into them.
torch::Tensor decode_quantised(const TensorInfo& info, const std::byte* from);

}  // namespace tessera::tensor
