#include "tessera/train/parallel/exchanged.h"

#include "tessera/base/error.h"

namespace tessera::train {

void check_exchanged(const torch::Tensor& tensor, torch::Device device, const char* operation) {
  if (!tensor.defined() || tensor.device() != device || !tensor.is_contiguous())
    throw InputError("{}: ranks exchange contiguous tensors on {}; call .contiguous() or move it there first", operation, device.str());
  const auto dtype = tensor.scalar_type();
  if (dtype != torch::kFloat32 && dtype != torch::kBFloat16 && dtype != torch::kInt64)
    throw InputError("{}: ranks exchange float32, bfloat16 and int64, not {}; convert first", operation, c10::toString(dtype));
}

void check_parts(const std::vector<torch::Tensor>& parts, int64_t ranks, torch::Device device, const char* operation) {
  if (static_cast<int64_t>(parts.size()) != ranks)
    throw InputError("{}: {} parts for {} ranks; give one part a rank", operation, parts.size(), ranks);
  for (const auto& part : parts) {
    check_exchanged(part, device, operation);
    if (part.scalar_type() != parts[0].scalar_type())
      throw InputError("{}: parts of {} and {}; give one dtype", operation, c10::toString(parts[0].scalar_type()),
                       c10::toString(part.scalar_type()));
  }
}

int partner(int64_t rank, int64_t ranks, const char* operation) {
  if (rank < 0 || rank >= ranks) throw InputError("{}: rank {} of {} ranks; give 0 to {}", operation, rank, ranks, ranks - 1);
  return static_cast<int>(rank);
}

}  // namespace tessera::train
