#include "tests/train/other_device.h"

#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "tessera/train/parallel/exchanged.h"

namespace tessera::train {

namespace {

const c10::Device kOther(c10::DeviceType::PrivateUse1, 0);

struct OtherHooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex /*device*/) const override { return true; }
};

// One of it, device 0, with one stream.
struct OtherGuard : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1> {
  c10::Device exchangeDevice(c10::Device /*device*/) const override { return kOther; }
  c10::Device getDevice() const override { return kOther; }
  c10::Stream getStream(c10::Device /*device*/) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, getDevice()); }
  c10::Stream getNewStream(c10::Device device, int /*priority*/) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream /*stream*/) const noexcept override { return getStream(getDevice()); }
  void record(void** /*event*/, const c10::Stream& /*stream*/, c10::DeviceIndex /*device*/, c10::EventFlag /*flag*/) const override {}
  void block(void* /*event*/, const c10::Stream& /*stream*/) const override {}
  bool queryEvent(void* /*event*/) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, OtherGuard)

// Blocks of whole pages that only a Window opens.
class OtherMemory : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t whole = (bytes / page + 1) * page;
    void* begin = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TORCH_CHECK(begin != MAP_FAILED, "no memory for the other device");
    const std::lock_guard lock(mutex());
    blocks()[begin] = {.bytes = whole};
    return {begin, begin, &release, kOther};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    const Window first(to), second(from);
    default_copy_data(to, from, bytes);
  }

  class Window {
   public:
    explicit Window(const void* begin) : begin_(const_cast<void*>(begin)) { open(+1); }
    ~Window() { open(-1); }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

   private:
    void open(int more) {
      const std::lock_guard lock(mutex());
      const auto block = blocks().find(begin_);
      if (block == blocks().end()) return;  // the CPU's, or nothing
      block->second.windows += more;
      mprotect(begin_, block->second.bytes, block->second.windows > 0 ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
    void* begin_;
  };

 private:
  struct Block {
    size_t bytes = 0;
    int windows = 0;
  };
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static std::map<void*, Block>& blocks() {
    static auto* all = new std::map<void*, Block>();  // never destroyed: tensors may live as long as the program
    return *all;
  }
  static void release(void* begin) {
    const std::lock_guard lock(mutex());
    munmap(begin, blocks()[begin].bytes);
    blocks().erase(begin);
  }
};
OtherMemory other_memory;
REGISTER_ALLOCATOR(c10::DeviceType::PrivateUse1, &other_memory)

at::Tensor empty_on_it(const std::vector<int64_t>& sizes, std::optional<at::ScalarType> dtype) {
  const auto type = dtype.value_or(at::get_default_dtype_as_scalartype());
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * c10::elementSize(type);
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, other_memory.allocate(bytes), &other_memory, true);
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                                         c10::scalarTypeToTypeMeta(type));
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return tensor;
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout> /*layout*/,
                 std::optional<at::Device> /*device*/, std::optional<bool> /*pinned*/, std::optional<at::MemoryFormat> /*format*/) {
  return empty_on_it(sizes.vec(), dtype);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/, std::optional<bool> /*pinned*/) {
  int64_t elements = 1;
  for (size_t i = 0; i < sizes.size(); ++i) elements += (sizes[i] - 1) * strides[i];
  if (c10::multiply_integers(sizes) == 0) elements = 0;
  return at::native::as_strided_tensorimpl(empty_on_it({elements}, dtype), sizes, strides, 0);
}

// The same memory as the CPU sees it while its Window is open.
at::Tensor seen_by_cpu(const at::Tensor& t) {
  if (t.is_cpu()) return t;
  return at::from_blob(t.unsafeGetTensorImpl()->mutable_data(), t.sizes(), t.strides(), at::TensorOptions(t.scalar_type()));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  const OtherMemory::Window first(from.storage().data()), second(to.storage().data());
  seen_by_cpu(to).copy_(seen_by_cpu(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) {
    const auto fresh = empty_on_it(from.sizes().vec(), to.scalar_type());
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  }
  return copy_from(from, to, false);
}

at::Tensor unfold(const at::Tensor& t, int64_t dimension, int64_t size, int64_t step) {
  return at::native::unfold(t, dimension, size, step);
}
at::Tensor view(const at::Tensor& t, at::IntArrayRef sizes) { return at::native::view(t, sizes); }
at::Tensor reshape_alias(const at::Tensor& t, at::IntArrayRef sizes, at::IntArrayRef strides) {
  return at::native::_reshape_alias(t, sizes, strides);
}
at::Tensor as_strided(const at::Tensor& t, at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(t, sizes, strides, offset);
}

bool may_become(const at::Tensor& /*parameter*/, const at::Tensor& /*moved*/) { return true; }

// As CUDA's kernels: tensors of both devices are refused, but for numbers on the CPU.
void by_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const auto& value : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    const auto& tensor = value.toTensor();
    TORCH_CHECK(!tensor.is_cpu() || tensor.dim() == 0, "Expected all tensors to be on the same device: ", op.operator_name());
  }
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>()); }
TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("view", &view);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("as_strided", &as_strided);
  library.impl("unfold", &unfold);
  library.impl("_has_compatible_shallow_copy_type", &may_become);
}

class OverOtherDevice : public Collective {
 public:
  explicit OverOtherDevice(std::shared_ptr<Collective> inner) : inner_(std::move(inner)) {}
  int64_t rank() const override { return inner_->rank(); }
  int64_t size() const override { return inner_->size(); }
  torch::Device device() const override { return kOther; }

  std::shared_ptr<Pending> start_all_reduce(torch::Tensor tensor) override {
    return start({tensor}, [this](const auto& host) { inner_->all_reduce(host[0]); });
  }
  std::shared_ptr<Pending> start_reduce_scatter(std::vector<torch::Tensor> parts) override {
    return start(std::move(parts), [this](const auto& host) { inner_->reduce_scatter(host); });
  }
  std::shared_ptr<Pending> start_all_gather(std::vector<torch::Tensor> parts) override {
    return start(std::move(parts), [this](const auto& host) { inner_->all_gather(host); });
  }
  void broadcast(torch::Tensor tensor, int64_t root) override {
    start({tensor}, [&](const auto& host) { inner_->broadcast(host[0], root); });
  }
  void send(const torch::Tensor& tensor, int64_t to) override {
    start({tensor}, [&](const auto& host) { inner_->send(host[0], to); });
  }
  void receive(torch::Tensor tensor, int64_t from) override {
    start({tensor}, [&](const auto& host) { inner_->receive(host[0], from); });
  }
  void barrier() override { inner_->barrier(); }
  void leave() override { inner_->leave(); }
  void abort(int exit_code) override { inner_->abort(exit_code); }

 private:
  struct Done : Pending {
    bool done() const override { return true; }
    void wait() override {}
  };
  static std::shared_ptr<Pending> start(std::vector<torch::Tensor> tensors,
                                        const std::function<void(const std::vector<torch::Tensor>& host)>& move) {
    torch::NoGradGuard no_grad;
    const auto device = tensors.at(0).is_cpu() ? torch::Device(torch::kCPU) : kOther;
    std::vector<torch::Tensor> host;
    for (const auto& tensor : tensors) {
      check_exchanged(tensor, device, "the other device");
      host.push_back(tensor.cpu());
    }
    move(host);
    for (size_t i = 0; i < tensors.size(); ++i)
      if (!device.is_cpu()) tensors[i].copy_(host[i]);
    return std::make_shared<Done>();
  }

  std::shared_ptr<Collective> inner_;
};

}  // namespace

torch::Device other_device() {
  [[maybe_unused]] static const bool once = [] {  // not before it is asked for: LibTorch then takes it for the accelerator of the process
    c10::register_privateuse1_backend("other");
    at::RegisterPrivateUse1HooksInterface(new OtherHooks);
    return true;
  }();
  return kOther;
}

std::shared_ptr<Collective> over_other_device(std::shared_ptr<Collective> inner) {
  other_device();
  return std::make_shared<OverOtherDevice>(std::move(inner));
}

}  // namespace tessera::train
