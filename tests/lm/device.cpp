#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/lm/load.h"

namespace tessera::lm {

TEST(Device, TheAutomaticDtypeFollowsTheProcessor) {
  struct Case {
    CpuFacts cpu;
    torch::Dtype dtype;
    std::string_view why;
  };
  const std::vector<Case> cases{
      {{.amd = true, .intel = false, .avx512_bf16 = true, .amx_bf16 = false}, torch::kBFloat16, "AVX512_BF16 on AMD"},
      {{.amd = true, .intel = false, .avx512_bf16 = false, .amx_bf16 = false}, torch::kFloat32, "no bf16 products"},
      {{.amd = false, .intel = true, .avx512_bf16 = true, .amx_bf16 = true}, torch::kBFloat16, "AMX"},
      {{.amd = false, .intel = true, .avx512_bf16 = false, .amx_bf16 = true}, torch::kBFloat16, "AMX"},
      {{.amd = false, .intel = true, .avx512_bf16 = true, .amx_bf16 = false}, torch::kFloat32, "slower than fp32 on Intel"},
      {{.amd = false, .intel = true, .avx512_bf16 = false, .amx_bf16 = false}, torch::kFloat32, "no bf16 products"},
      {{.amd = false, .intel = false, .avx512_bf16 = true, .amx_bf16 = false}, torch::kFloat32, "not known"},
      {{}, torch::kFloat32, "no bf16 products"},
  };
  for (const auto& [cpu, dtype, why] : cases) {
    const auto rule = cpu_dtype(cpu);
    EXPECT_EQ(rule.dtype, dtype) << why;
    EXPECT_NE(rule.why.find(why), std::string_view::npos) << rule.why;
  }
}

TEST(Device, TheProcessorIsOfOneMaker) {
  const auto cpu = cpu_facts();
  EXPECT_FALSE(cpu.amd && cpu.intel);
  const auto again = cpu_facts();
  EXPECT_EQ(cpu.amd, again.amd);
  EXPECT_EQ(cpu.avx512_bf16, again.avx512_bf16);
}

TEST(Device, NamesOfDtypesAndDevicesAreChecked) {
  EXPECT_EQ(parse_dtype("auto"), DtypeChoice::automatic);
  EXPECT_EQ(parse_dtype("float32"), DtypeChoice::fp32);
  EXPECT_EQ(parse_dtype("bfloat16"), DtypeChoice::bf16);
  EXPECT_THROW(parse_dtype("fp16"), InputError);
  EXPECT_EQ(parse_device("cpu"), torch::Device(torch::kCPU));
  EXPECT_THROW(parse_device("gpu"), InputError);
  EXPECT_THROW(parse_device("cuda:x"), InputError);
}

}  // namespace tessera::lm
