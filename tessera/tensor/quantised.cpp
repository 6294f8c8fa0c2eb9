#include "tessera/tensor/quantised.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <new>

#include "tessera/tensor/quantised_blocks.h"

namespace tessera::tensor {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
constexpr int64_t decode_grain = int64_t{1} << 18;  // elements a thread takes at once: 0.15 ms, above the cost of waking it

torch::Tensor float_tensor_for(const TensorInfo& info) {
  const size_t bytes = static_cast<size_t>(info.elements()) * sizeof(float);
  if (bytes < 2 * huge_page) return torch::empty(info.shape, at::kFloat);
  const std::align_val_t alignment{huge_page};
  void* memory = ::operator new(bytes, alignment);
  ::madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // a hint: the answer does not matter
  return torch::from_blob(
      memory, info.shape, [alignment](void* p) { ::operator delete(p, alignment); }, at::kFloat);
}

}  // namespace

torch::Tensor decode_quantised(const TensorInfo& info, const std::byte* from) {
  const DtypeTraits& type = traits(info.dtype);
  torch::Tensor decoded = float_tensor_for(info);
  float* to = decoded.data_ptr<float>();
  at::parallel_for(0, info.elements() / type.block, decode_grain / type.block, [&](int64_t begin, int64_t end) {
    decode_to_float(info.dtype, from + begin * type.block_bytes, to + begin * type.block, (end - begin) * type.block);
  });
  return decoded;
}

}  // namespace tessera::tensor
