#include "tessera/kernels/process.h"

#include <malloc.h>
#include <torch/torch.h>

#include <limits>

#include "tessera/kernels/products.h"

namespace tessera::kernels {

// Tensors come and go with every step: freed memory is kept for the next one instead of being handed back to the kernel, which would clear
// every page of it again. The largest ones get maps of their own all the same: in the heap they would leave holes that nothing else fills.
static void keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int kAll = std::numeric_limits<int>::max();
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, kAll);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

void set_up_process(int threads) {
  at::set_num_threads(std::max(1, threads));
  take_float_products();
  keep_freed_memory();
}

}  // namespace tessera::kernels
