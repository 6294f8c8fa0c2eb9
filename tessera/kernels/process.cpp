#include "tessera/kernels/process.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <torch/torch.h>

#include <limits>

#include "tessera/base/map_cache.h"
#include "tessera/kernels/products.h"

namespace tessera::kernels {

namespace {

constexpr size_t kLarge = size_t{1} << 20;

// LibTorch's memory on the CPU: large tensors in blocks that are kept for the next step's, small ones as before.
class TensorMemory final : public at::Allocator {
 public:
  at::DataPtr allocate(size_t bytes) override {
    void* begin = bytes < kLarge ? small().raw_allocate(bytes) : large().take(bytes);
    return {begin, begin, &give_back, at::kCPU};
  }
  at::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static void give_back(void* begin) {
    if (!large().give_back(begin)) small().raw_deallocate(begin);
  }
  static at::Allocator& small() { return *c10::GetDefaultCPUAllocator(); }
  static MapCache& large() {
    static auto* maps = new MapCache;  // tensors may be freed after every static is gone
    return *maps;
  }
};

// Small tensors come and go with every step, too: the heap keeps what they free, instead of having the kernel clear its pages again.
void keep_freed_memory() {
  static TensorMemory memory;
  c10::SetCPUAllocator(&memory);
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace

void set_up_process(int threads) {
  at::set_num_threads(std::max(1, threads));
  take_float_products();
  keep_freed_memory();
}

void give_back_freed_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace tessera::kernels
