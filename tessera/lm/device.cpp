#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "tessera/base/error.h"
#include "tessera/lm/load.h"

namespace tessera::lm {

DtypeChoice parse_dtype(std::string_view name) {
  if (name == "auto") return DtypeChoice::automatic;
  if (name == "fp32" || name == "f32" || name == "float32") return DtypeChoice::fp32;
  if (name == "bf16" || name == "bfloat16") return DtypeChoice::bf16;
  throw InputError("the dtype is {}; expected auto, fp32 or bf16", tessera::quoted(name));
}

static std::string cpu_vendor() {
#if defined(__x86_64__)
  unsigned highest = 0, words[3] = {};
  if (__get_cpuid(0, &highest, &words[0], &words[2], &words[1]) != 0) return {reinterpret_cast<const char*>(words), sizeof words};
#endif
  return "";
}

CpuFacts cpu_facts() {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto has = [&](const char* name) {
    const auto at = capabilities.find(name);
    return at != capabilities.end() && at->second.isBool() && at->second.toBool();
  };
  const auto vendor = cpu_vendor();
  return {.amd = vendor == "AuthenticAMD",
          .intel = vendor == "GenuineIntel",
          .avx512_bf16 = has("avx512_bf16"),
          .amx_bf16 = has("amx_bf16") && has("amx_tile")};
}

DtypeRule cpu_dtype(const CpuFacts& cpu) {
  if (cpu.amx_bf16) return {torch::kBFloat16, "this CPU has AMX"};
  if (!cpu.avx512_bf16) return {torch::kFloat32, "this CPU has no bf16 products"};
  if (cpu.amd) return {torch::kBFloat16, "AVX512_BF16 on AMD"};
  if (cpu.intel) return {torch::kFloat32, "AVX512_BF16 without AMX is slower than fp32 on Intel"};
  return {torch::kFloat32, "this CPU's AVX512_BF16 is not known to be faster than fp32"};
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
