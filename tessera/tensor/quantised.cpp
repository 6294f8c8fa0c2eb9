#include "tessera/tensor/quantised.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <memory>
#include <new>

#include "tessera/tensor/quantised_blocks.h"

namespace tessera::tensor {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
constexpr int64_t decode_grain = int64_t{1} << 18;   // elements a thread takes at once: 0.15 ms, above the cost of waking it
constexpr int64_t rounded_piece = int64_t{1} << 15;  // elements that wait in float32 to be rounded: they stay in a core's own cache

}  // namespace

torch::Tensor unfilled(at::IntArrayRef shape, const at::TensorOptions& options) {
  const size_t bytes = c10::multiply_integers(shape) * options.dtype().itemsize();
  if (!options.device().is_cpu() || bytes < 2 * huge_page) return torch::empty(shape, options);
  const size_t all = bytes + huge_page;  // some of it is left out on both sides of the first huge page's border
  void* map = ::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  void* begin = map;
  size_t room = all;
  std::align(huge_page, bytes, begin, room);
  ::madvise(begin, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // a hint: the answer does not matter
  return torch::from_blob(
      begin, shape, [map, all](void*) { ::munmap(map, all); }, options);
}

void decode(Dtype type, const std::byte* from, const torch::Tensor& to) {
  const DtypeTraits& layout = traits(type);
  const bool direct = to.scalar_type() == at::kFloat;
  const auto flat = to.view({-1});
  at::parallel_for(0, to.numel() / layout.block, decode_grain / layout.block, [&](int64_t begin, int64_t end) {
    const auto piece = direct ? end - begin : rounded_piece / layout.block;
    const auto waiting = direct ? torch::Tensor() : torch::empty({piece * layout.block}, at::kFloat);
    for (int64_t i = begin; i < end; i += piece) {
      const int64_t count = (std::min(i + piece, end) - i) * layout.block;
      const auto place = flat.narrow(0, i * layout.block, count), decoded = direct ? place : waiting.narrow(0, 0, count);
      decode_to_float(type, from + i * layout.block_bytes, decoded.data_ptr<float>(), count);
      if (!direct) place.copy_(decoded);
    }
  });
}

}  // namespace tessera::tensor
