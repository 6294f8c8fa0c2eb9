#pragma once
// Encoded weights as tensors, and memory for large tensors.

#include <torch/types.h>

#include <cstddef>

#include "tessera/tensor/dtype.h"

namespace tessera::tensor {

// An unfilled dense tensor. Large ones on the CPU lie in a map of their own, on huge pages where the system grants them (touching fresh 4
// KiB pages costs more than decoding into them), and go back to the system as soon as they are freed.
torch::Tensor unfilled(at::IntArrayRef shape, const at::TensorOptions& options);

// Decodes to.numel() elements of `type`, whole blocks, at `from` into `to`: dense, on the CPU, any floating type. By all threads.
void decode(Dtype type, const std::byte* from, const torch::Tensor& to);

}  // namespace tessera::tensor
