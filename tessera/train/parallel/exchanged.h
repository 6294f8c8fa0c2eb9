#pragma once
// What a Collective takes: the checks that all of them share.

#include <torch/torch.h>

namespace tessera::train {

// InputError, naming the operation, unless the tensor is contiguous on this device and float32, bfloat16 or int64.
void check_exchanged(const torch::Tensor& tensor, torch::Device device, const char* operation);
// InputError unless there is one part a rank, all of them of one dtype and as above.
void check_parts(const std::vector<torch::Tensor>& parts, int64_t ranks, torch::Device device, const char* operation);
// `rank` of `ranks` as MPI and NCCL count; InputError when there is none.
int partner(int64_t rank, int64_t ranks, const char* operation);

}  // namespace tessera::train
