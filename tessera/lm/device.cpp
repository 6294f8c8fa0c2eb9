#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>

#include <chrono>

#include "tessera/base/error.h"
#include "tessera/lm/load.h"

namespace tessera::lm {

DtypeChoice parse_dtype(std::string_view name) {
  if (name == "auto") return DtypeChoice::automatic;
  if (name == "fp32" || name == "f32" || name == "float32") return DtypeChoice::fp32;
  if (name == "bf16" || name == "bfloat16") return DtypeChoice::bf16;
  throw InputError("the dtype is {}; expected auto, fp32 or bf16", tessera::quoted(name));
}

bool cpu_has_bf16() {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto has = [&](const char* name) {
    const auto at = capabilities.find(name);
    return at != capabilities.end() && at->second.isBool() && at->second.toBool();
  };
  return has("avx512_bf16") || has("amx_bf16") || has("amx_tile");
}

double bf16_speedup() {
  static const double ratio = [] {
    torch::InferenceMode inference;
    const auto best_seconds = [](torch::Dtype dtype) {
      const auto a = torch::ones({256, 512}, dtype), b = torch::ones({512, 512}, dtype);
      double best = 1e9;
      for (int i = 0; i < 5; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const auto product = at::linear(a, b);
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      }
      return best;
    };
    return best_seconds(torch::kFloat32) / best_seconds(torch::kBFloat16);
  }();
  return ratio;
}

torch::Device parse_device(std::string_view name) {
  if (name == "cpu") return torch::kCPU;
  const bool numbered =
      name.starts_with("cuda:") && name.size() > 5 && name.size() < 8 && name.find_first_not_of("0123456789", 5) == std::string_view::npos;
  if (name != "cuda" && !numbered) throw InputError("the device is {}; expected cpu, cuda or cuda:N", tessera::quoted(name));
  if (!torch::cuda::is_available()) {
    throw InputError(
        "there is no CUDA device, or this LibTorch ({}) was built without CUDA; use --device cpu, or build with CMAKE_PREFIX_PATH at a "
        "CUDA build",
        TORCH_VERSION);
  }
  const int index = numbered ? std::stoi(std::string(name.substr(5))) : 0;
  const auto count = static_cast<int>(static_cast<unsigned char>(torch::cuda::device_count()));
  if (index >= count) throw InputError("{} is not there; this machine has {} CUDA devices, numbered from 0", tessera::quoted(name), count);
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(index)};
}

}  // namespace tessera::lm
