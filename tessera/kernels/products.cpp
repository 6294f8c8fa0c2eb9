#include "tessera/kernels/products.h"

#include <ATen/CPUFunctions.h>
#include <torch/library.h>
#include <torch/torch.h>

namespace at::native {
// LibTorch exports it without a header. result [.., m, n] = beta * result + alpha * a [.., m, k] b [.., k, n]; null in a LibTorch without
// it.
[[gnu::weak]] void mkldnn_matmul(const Tensor& a, const Tensor& b, const Tensor& result, float beta, float alpha);
}  // namespace at::native

namespace tessera::kernels {

namespace {

constexpr int64_t products_least = int64_t{1} << 15;  // multiplications; below it a call costs more than the arithmetic

// Row after row or column after column: what oneDNN reads. Columns of a wider matrix (the gradient of one of joined layers) are copied:
// that costs less than MKL does.
torch::Tensor products_dense(const torch::Tensor& t) {
  return t.is_contiguous() || t.transpose(-2, -1).is_contiguous() ? t : t.contiguous();
}

// a and b [m, k], [k, n] or with one batch dimension before.
bool products_fit(const torch::Tensor& a, const torch::Tensor& b) {
  const int64_t dims = a.dim();
  return b.dim() == dims && (dims == 2 || dims == 3) && a.scalar_type() == torch::kFloat32 && b.scalar_type() == torch::kFloat32 &&
         a.size(dims - 1) == b.size(dims - 2) && (dims == 2 || a.size(0) == b.size(0)) && a.numel() * b.size(dims - 1) >= products_least;
}

torch::Tensor products_result(const torch::Tensor& a, const torch::Tensor& b) {
  auto sizes = a.sizes().vec();
  sizes.back() = b.size(-1);
  return at::empty(sizes, a.options().requires_grad(false));
}

bool products_into(const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& out) {
  return out.scalar_type() == torch::kFloat32 && out.is_contiguous() && products_fit(a, b) && !out.is_alias_of(a) && !out.is_alias_of(b);
}

// mm and bmm; `kPlain`: what LibTorch does.
template <auto kPlain>
torch::Tensor products_of(const torch::Tensor& a, const torch::Tensor& b) {
  if (!products_fit(a, b)) return kPlain(a, b);
  auto result = products_result(a, b);
  at::native::mkldnn_matmul(products_dense(a), products_dense(b), result, 0.0F, 1.0F);
  return result;
}

torch::Tensor& products_mm_out(const torch::Tensor& a, const torch::Tensor& b, torch::Tensor& out) {
  if (!products_into(a, b, out) || out.dim() != 2 || out.size(0) != a.size(0) || out.size(1) != b.size(1))
    return at::cpu::mm_out(out, a, b);
  at::native::mkldnn_matmul(products_dense(a), products_dense(b), out, 0.0F, 1.0F);
  return out;
}

torch::Tensor products_addmm(const torch::Tensor& self, const torch::Tensor& a, const torch::Tensor& b, const at::Scalar& beta,
                             const at::Scalar& alpha) {
  const bool plain = self.scalar_type() == torch::kFloat32 && alpha.equal(1) && beta.equal(1);
  if (!plain || a.dim() != 2 || !products_fit(a, b)) return at::cpu::addmm(self, a, b, beta, alpha);
  auto result = products_result(a, b);
  result.copy_(self.expand(result.sizes()));
  at::native::mkldnn_matmul(products_dense(a), products_dense(b), result, 1.0F, 1.0F);
  return result;
}

torch::Tensor& products_addmm_(torch::Tensor& self, const torch::Tensor& a, const torch::Tensor& b, const at::Scalar& beta,
                               const at::Scalar& alpha) {
  const bool plain = alpha.equal(1) && beta.equal(1) && self.dim() == 2 && a.dim() == 2 && b.dim() == 2 && self.size(0) == a.size(0) &&
                     self.size(1) == b.size(1);
  if (!plain || !products_into(a, b, self)) return at::cpu::addmm_(self, a, b, beta, alpha);
  at::native::mkldnn_matmul(products_dense(a), products_dense(b), self, 1.0F, 1.0F);
  return self;
}

// Two known products, one of them onto a result that is there.
bool products_trial() {
  const auto a = torch::arange(64 * 48, torch::kFloat32).remainder(7).view({64, 48}),
             b = torch::arange(48 * 32, torch::kFloat32).remainder(5).view({32, 48});
  auto c = torch::ones({64, 32});
  try {
    at::native::mkldnn_matmul(a, b.t(), c, 1.0F, 1.0F);
  } catch (const c10::Error&) {
    return false;
  }
  return torch::equal(c, at::cpu::mm(a, b.t()) + 1);
}

bool products_register() {
#if defined(__x86_64__)
  const bool faster = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && !__builtin_cpu_is("intel");
#else
  const bool faster = false;
#endif
  if (!faster || at::native::mkldnn_matmul == nullptr || !products_trial()) return false;
  struct Silent : c10::WarningHandler {
    void process(const c10::Warning& /* warning */) override {}
  } silent;  // LibTorch warns of kernels that are replaced; here it is meant
  const c10::WarningUtils::WarningHandlerGuard quiet(&silent);
  // Never destroyed: other threads may multiply until the process ends.
  auto* library = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  library->impl("mm", products_of<at::cpu::mm>);
  library->impl("mm.out", products_mm_out);
  library->impl("bmm", products_of<at::cpu::bmm>);
  library->impl("addmm", products_addmm);
  library->impl("addmm_", products_addmm_);
  return true;
}

}  // namespace

bool take_float_products() {
  static const bool taken = [] {
    torch::NoGradGuard no_grad;
    return products_register();
  }();
  return taken;
}

}  // namespace tessera::kernels
